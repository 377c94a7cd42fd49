@NET-09 @must @needs-network-policy @risk-none @lock-charlie
Feature: A label moves a pod from one policy to another

  Background:
    Given tenant "charlie", onboarded the platform's way, with a running workload

  Scenario: A pod that becomes a web server may call the api, until it no longer is one
    Given a fresh pod without labels in "charlie"
    When the pod is given the label of the web tier
    Then it reaches the api within the promised time
    When the label is taken away again
    Then it no longer reaches the api within the promised time
    And the api was OPEN for the web tier just before and just after

  @slow
  Scenario: A pod that becomes an api may be called by the web server, until it no longer is one
    Given a fresh pod without labels in "charlie"
    When the pod is given the label of the api tier
    Then the web tier reaches it within the promised time
    When the label is taken away again
    Then the web tier no longer reaches it within the promised time
    And the api was OPEN for the web tier just before and just after
