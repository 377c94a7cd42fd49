@NET-02 @must @needs-network-policy @risk-none
Feature: No tenant reaches another over the network

  Background:
    Given tenants "alpha" and "bravo", onboarded the platform's way
    And each runs the three-tier workload
    And two control tenants without network policy

  Scenario: Every path between tenants is closed
    When every workload tries every one of the other tenant, by pod address, service address, service name and headless name, over TCP and UDP
    Then between tenants every path is DROPPED or REJECTED
    And each denied path was OPEN for the control tenants just before and just after

  @slow
  Scenario: Each tenant is closed by itself, whoever is at the other end
    When every workload tries the control tenants, and these try every workload, over TCP and UDP
    Then between tenants every path is DROPPED or REJECTED
    And each denied path was OPEN for the control tenants just before and just after
