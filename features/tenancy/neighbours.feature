@TEN-05 @should @risk-load @serial @slow @deadline-3m
Feature: A tenant at its limit does not slow others
  Quiet times and times of load take turns, and which comes first is drawn by lot, so that what the machine does by
  itself is not laid at the neighbour's door. What cannot be told is measured again, at most twice.

  Scenario: A bystander finds room and keeps its pace while another tenant uses all that it can get
    Given a tenant "greedy" of its own
    And a tenant "steady" of its own
    And "greedy" has asked for all the cpu that it can get, on two nodes
    When "steady" asks for all the cpu that it is promised, on the same nodes
    Then every pod of "steady" has found room
    When "greedy" burns all that it has by turns, while the pods of "steady" call each other
    Then "greedy" wanted more than it got, and got enough to be felt
    And the calls of "steady" are answered within the promised time at the 99th percentile, under load as without
