@IAM-06 @must @risk-none
Feature: No anonymous access beyond discovery
  What is bound to those who are not logged in is theirs on the day when the API server lets them in.

  Scenario: Nothing waits for those who are not logged in but what is declared
    When every binding of those who are not logged in is read
    Then each binds a role that the profile declares, and grants nothing beyond it
