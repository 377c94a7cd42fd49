@IAM-04 @must @risk-none
Feature: What a tenant manages itself is what the platform promises
  Some platforms leave roles and network policies to their tenants, others keep them. Either is right where the profile
  says so.

  Scenario Outline: <objects> are the tenant's own affair exactly where the profile says so
    Given tenant "alpha", onboarded the platform's way
    When its administrator makes one of the <objects> of its own
    Then that was OPEN where the profile promises it, and FORBIDDEN where it does not
    And it was OPEN for the platform itself just before and just after

    Examples:
      | objects          |
      | network policies |
      | roles            |
      | role bindings    |
