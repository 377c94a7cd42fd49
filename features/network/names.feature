@NET-05 @must @needs-network-policy @risk-none
Feature: Names resolve, and only through the platform's DNS

  Background:
    Given tenant "alpha", onboarded the platform's way
    And it runs the three-tier workload
    And a control tenant without network policy

  Scenario: The platform's DNS answers every workload
    When every workload of "alpha" resolves the names of its services over TCP and UDP
    Then every name resolves to the address that the cluster gave it

  Scenario: No other resolver can be reached
    When every workload of "alpha" tries the resolver of the control tenant over TCP and UDP
    Then every attempt is DROPPED or REJECTED
    And the same was OPEN from a pod of the control tenant just before and just after
