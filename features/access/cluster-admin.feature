@IAM-07 @must @risk-none
Feature: Only those declared may come to be administrator of the cluster
  The role of that name is one path of many. Who acts under the names of others, binds or writes roles, reads every
  secret, runs pods where the platform's own accounts live, approves certificates or reaches kubelets gets there too.

  Scenario: Every path to the administrator of the cluster is declared
    Given tenants "alpha" and "bravo", onboarded the platform's way
    When every role and every binding of the cluster is read, and every path to its administrator is followed
    Then the path that every cluster has is among them
    And every path is one that the profile declares
