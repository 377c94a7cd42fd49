@NET-13 @should @needs-network-policy @risk-none @slow
Feature: No tenant reaches another by IPv6 either
  A policy that names addresses names those of one family, and a dataplane may have learned only one of them.

  Background:
    Given tenants "alpha" and "bravo", onboarded the platform's way
    And each runs the three-tier workload
    And two control tenants without network policy

  Scenario: Every path between tenants by IPv6 is closed
    When every workload tries every one of the other tenant by its addresses of IPv6, over TCP and UDP
    Then between tenants every path is DROPPED or REJECTED
    And each denied path was OPEN for the control tenants just before and just after
