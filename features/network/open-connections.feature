@NET-07 @should @needs-network-policy @risk-none @slow @lock-charlie
Feature: A new policy and the connections that are open already

  Background:
    Given tenant "charlie", onboarded the platform's way, with a running workload

  Scenario: A connection that is open when its path is closed ends as the platform promises
    Given a path that a policy of the tenant opens, and a connection held over it
    And a connection held over a path that stays open
    When the policy is taken away
    Then a new connection over that path is DROPPED or REJECTED within the promised time
    And the connection that was open is cut or kept, as the platform promises
    And the path that stays open was OPEN just before and just after
