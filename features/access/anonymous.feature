@IAM-06 @must @risk-none
Feature: No anonymous access beyond discovery
  Whoever reaches the API server without a login gets the paths that the profile promises, and nothing else.

  Scenario: Without a login exactly the promised paths answer
    When every path that the API server lists and every kind of object is asked for without credentials
    Then exactly the promised paths are OPEN
    And every other path is UNAUTHENTICATED or FORBIDDEN
    And each of these was OPEN for the harness itself just before and just after

  @slow
  Scenario: No disguise opens a path
    When every path that the API server lists and every kind of object is asked for with an empty token, under a borrowed name, and with the headers of a proxy that nobody trusts
    Then every other path is UNAUTHENTICATED or FORBIDDEN
    And each of these was OPEN for the harness itself just before and just after

  Scenario: Nothing waits for those who are not logged in but what is declared
    When every binding of those who are not logged in is read
    Then each binds a role that the profile declares, and grants nothing beyond it
