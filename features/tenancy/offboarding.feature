@TEN-10 @must @risk-none @deadline-2m
Feature: Offboarding leaves nothing

  Scenario: A tenant that has left is nowhere to be found
    Given a tenant "leaver" of its own
    And it holds a config map, a secret, a service and a waiting pod
    When everything on the cluster that belongs to it or names it is listed
    And it is offboarded the platform's way
    Then the listing had found its namespaces and what they hold
    And nothing on the cluster belongs to it or names it any more

  # A claim outlasts the first look that the cluster takes at a namespace on its way out; the second is much later.
  @slow
  Scenario: A tenant with volumes that has left is nowhere to be found
    Given a tenant "leaver" of its own
    And it holds a config map, a secret, a service and a waiting pod
    And it holds a volume claim
    When everything on the cluster that belongs to it or names it is listed
    And it is offboarded the platform's way
    Then the listing had found its namespaces and what they hold
    And nothing on the cluster belongs to it or names it any more
