@IAM-04 @must @risk-none
Feature: Rights end at the namespace

  Background:
    Given tenants "alpha" and "bravo", onboarded the platform's way

  Scenario Outline: The <role> of a tenant has exactly the promised rights
    When the <role> of "alpha" is asked about every verb on every resource that the cluster serves, in its own namespace, in that of "bravo" and on the cluster
    Then its rights in its own namespace are exactly those that the profile promises
    And it has no rights in the namespace of "bravo"
    And on the cluster it has only what every user has
    And the rules that the cluster lists for it agree with its answers

    Examples: people
      | role          |
      | administrator |
      | viewer        |

    @slow
    Examples: service accounts
      | role     |
      | workload |

  @slow
  Scenario: Every verb on every kind of object is done, and not only asked about
    When the administrator of "alpha" does every verb to every kind of object that the cluster serves, in its own namespace, in that of "bravo" and on the cluster
    Then everything that the profile promises is OPEN
    And everything else is FORBIDDEN
    And everything that was refused was OPEN for the administrator of the cluster just before and just after

  Scenario: What the cluster says about rights is what it does
    When the administrator of "alpha" does each verb on a config map in its own namespace and in that of "bravo"
    Then in its own namespace every verb is OPEN
    And in the namespace of "bravo" every verb is FORBIDDEN
    And each was OPEN for the administrator of "bravo" just before and just after

  Scenario: A viewer looks and does not touch
    When the viewer of "alpha" does each verb on a config map in its own namespace
    Then looking is OPEN
    And every change is FORBIDDEN
    And each change was OPEN for the administrator of "alpha" just before and just after

  Scenario Outline: The <role> of a tenant reads secrets only where promised
    When the <role> of "alpha" gets, lists and watches the secrets of "alpha" and of "bravo"
    Then every verb that the profile promises is OPEN
    And every other verb, and every verb in the other namespace, is FORBIDDEN
    And each was OPEN for the administrator there just before and just after

    Examples:
      | role          |
      | administrator |
      | viewer        |
