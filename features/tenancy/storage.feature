@TEN-08 @must @risk-none @deadline-2m
Feature: Storage does not cross tenants
  Volumes are the cluster's; what a tenant has is a claim. So the claim must not lead to what is somebody else's, and
  what somebody else had must be gone before the room is given away again.

  # Which volume a claim gets is decided after the claim was admitted. Each attempt is therefore followed by a claim that
  # has to be served: once it is, the attempt has had its turn.
  @lock-volumes @slow
  Scenario: A tenant does not get a volume that is another tenant's
    Given tenants "alpha" and "bravo", onboarded the platform's way
    And volumes that "bravo" holds, has given up, and is yet to claim
    When the administrator of "alpha" claims each of them, by its name and by its labels
    Then every attempt is FORBIDDEN or ADMISSION_DENIED
    And the same claim to a volume set aside for "alpha" was OPEN just before and just after
    And the volumes of "bravo" are as they were

  Scenario Outline: A tenant cannot <act>
    Given tenant "alpha", onboarded the platform's way
    When its administrator tries to <act>
    Then the attempt is FORBIDDEN or ADMISSION_DENIED
    And the same attempt was OPEN for the platform itself just before and just after

    Examples:
      | act                                       |
      | make a volume of its own                  |
      | hand a volume over to a claim of its own  |
      | make a class of volumes of its own        |

  @lock-volumes @slow
  Scenario: A volume that was given up does not come back with what was on it
    Given tenants "alpha" and "bravo", onboarded the platform's way
    And "alpha" has written a mark on a volume of its own
    When "alpha" gives its volume up
    And "bravo" gets a volume by a claim of the same name, on the same node
    Then what became of the volume of "alpha" is what the profile promises
    And nothing is on the volume of "bravo"
    And the mark is found there once "bravo" has written it

  @lock-volumes @slow
  Scenario: Volumes of the same name are apart while both are in use
    Given tenants "alpha" and "bravo", onboarded the platform's way
    And "alpha" has written a mark on a volume of its own
    When "bravo" gets a volume by a claim of the same name, on the same node
    Then nothing is on the volume of "bravo"
    And the mark is found there once "bravo" has written it
