@TEN-01 @must @risk-none
Feature: Every tenant has its own namespaces
  A tenant's namespaces say whose they are, and hold nobody else's workload.

  Background:
    Given tenants "alpha" and "bravo", onboarded the platform's way

  Scenario: The namespaces of a tenant carry its name and nobody else's workload
    When the namespaces of each tenant and every workload in them are listed
    Then each namespace is labelled with its owner as the profile promises
    And no namespace belongs to two tenants
    And every workload belongs to the tenant whose namespace it is in

  Scenario Outline: A tenant cannot place a <workload> in the namespace of another
    When the administrator of "alpha" creates a <workload> in the namespace of "bravo"
    Then the attempt is FORBIDDEN
    And the same attempt was OPEN for the administrator of "bravo" just before and just after

    Examples:
      | workload   |
      | pod        |
      | deployment |
      | job        |
