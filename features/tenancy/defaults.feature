@TEN-04 @must @risk-none
Feature: Pods that name no resources get the tenant's defaults
  Defaults are given at admission, so a server-side dry run shows them as they would be stored.

  Scenario: A pod without resources is admitted with the promised ones
    Given tenant "alpha", onboarded the platform's way
    When its administrator asks for a pod that names no resources
    And its administrator asks for a pod that names its own resources
    Then the first shows exactly the requests and limits that the profile promises
    And the second keeps its own
