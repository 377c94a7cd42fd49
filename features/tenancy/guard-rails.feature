@TEN-09 @must @risk-none @lock-rails
Feature: A tenant cannot change its own guard rails
  Quota, limits, default deny and pod security lie in the tenant's own namespace, and are not the tenant's to change.
  Every attempt is real, by the tenant's own administrator, on a tenant that has nothing to lose.

  Background:
    Given tenant "rails", onboarded the platform's way

  Scenario: Every guard rail is named and stands
    When the guard rails that the profile names are read
    Then quota, limit range, default deny and pod security are among them
    And every guard rail is there

  Scenario Outline: The administrator cannot <act> a guard rail
    When its administrator tries to <act> each guard rail
    Then every attempt is FORBIDDEN or ADMISSION_DENIED
    And the same administrator could do so to an object of its own just before and just after
    And every guard rail is unchanged

    Examples:
      | act                   |
      | update                |
      | patch                 |
      | apply over            |
      | relabel               |
      | delete                |
      | delete as one of many |

  Scenario Outline: The administrator cannot <trick>
    When its administrator tries to <trick>
    Then every attempt is FORBIDDEN or ADMISSION_DENIED
    And the same administrator could do so to an object of its own just before and just after
    And every guard rail is unchanged

    Examples: tricks with the namespace
      | trick                                       |
      | lower the pod security level                |
      | take the pod security level off             |
      | give the namespace to another tenant        |
      | take the owner off the namespace            |
      | finalize the namespace                      |
      | delete the namespace                        |

    Examples: tricks beside the guard rails
      | trick                                       |
      | open everything beside the default deny     |
