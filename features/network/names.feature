@NET-05 @must @needs-network-policy @needs-dns @risk-none
Feature: Names resolve, and only through the platform's DNS

  Background:
    Given tenant "alpha", onboarded the platform's way
    And it runs the three-tier workload

  Scenario: The platform's DNS answers every workload
    When every workload resolves the names of the services of its tenant over UDP and TCP
    Then every name resolves to the address that the cluster gave it

  Scenario: No other name server can be reached
    Given a control tenant without network policy
    And a name server of nobody's in the control tenant
    When every workload tries that name server over TCP and UDP
    Then every attempt is DROPPED or REJECTED
    And the same was OPEN from a pod of the control tenant just before and just after
