@NET-08 @must @needs-network-policy @risk-none @slow
Feature: Isolation begins at once

  @lock-charlie
  Scenario: A policy is in force soon after it is made, changed or removed, and a label soon after it is given or taken
    Given tenant "charlie", onboarded the platform's way, with a running workload
    And a fresh pod without labels in "charlie"
    When a policy is made, changed and removed, and the label of the pod given and taken, again and again
    Then each change was in force on every path within the promised time
    And a path that no change concerns was OPEN just before and just after

  Scenario: A new pod sends nothing that the policies of its tenant forbid, from its first instant
    Given tenant "alpha", onboarded the platform's way
    And a control tenant without network policy
    When new pods of both send to the control tenant from the first instant of their lives
    Then of the new pods of the tenant no more packets arrive than promised
    And those of the control tenant arrived just before and just after

  @lock-charlie
  Scenario: A new pod soon reaches what the policies of its tenant allow
    Given tenant "charlie", onboarded the platform's way, with a running workload
    When new pods of the web tier send to the api from the first instant of their lives
    Then each got through within the promised time
