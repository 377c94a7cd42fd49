@TEN-01 @must @risk-none
Feature: Every tenant has its own namespaces
  A tenant's namespaces say whose they are, and hold nobody else's workload.

  Scenario: The namespaces of a tenant carry its name, and nothing runs in them that it did not bring
    Given tenant "alpha", onboarded the platform's way
    And a tenant "newcomer" of its own
    When everything in the namespaces of "newcomer" is listed
    Then each of its namespaces is labelled with its owner as the profile promises
    And it shares no namespace with "alpha"
    And no workload is there yet

  Scenario Outline: A tenant cannot place a <workload> in the namespace of another
    Given tenants "alpha" and "bravo", onboarded the platform's way
    When the administrator of "alpha" creates a <workload> in the namespace of "bravo"
    Then the attempt is FORBIDDEN
    And the same attempt was OPEN for the administrator of "bravo" just before and just after

    Examples:
      | workload   |
      | pod        |
      | deployment |
      | job        |
