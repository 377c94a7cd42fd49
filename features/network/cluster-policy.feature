@NET-11 @must @needs-network-policy @needs-cluster-policy @risk-none @slow @lock-charlie
Feature: Policy of the whole cluster wins over that of a tenant
  The platform can close, and where it promises so open, what a tenant's own policies say otherwise. What it makes here
  concerns the pods of one throwaway tenant alone.

  Background:
    Given tenant "charlie", onboarded the platform's way, with a running workload

  Scenario: A denial of the whole cluster wins over what a tenant declares
    When the platform denies, for the whole cluster, a path that the tenant declares
    Then that path is DROPPED or REJECTED within the promised time
    And it was OPEN without it just before and just after

  Scenario: An allowance of the whole cluster wins over what a tenant leaves closed
    When the platform allows, for the whole cluster, a path that the tenant does not declare
    Then that path is OPEN within the promised time
    And without it the path was DROPPED or REJECTED just before, and is so again

  Scenario: A denial with more precedence wins over an allowance of the whole cluster
    When the platform allows a path that the tenant declares for the whole cluster, and denies it with more precedence
    Then that path is DROPPED or REJECTED within the promised time
    And it was OPEN without it just before and just after

  Scenario: An allowance with more precedence wins over a denial of the whole cluster
    When the platform denies a path that the tenant declares for the whole cluster, and allows it with more precedence
    Then that path is OPEN within the promised time
    And without it the path was DROPPED or REJECTED just before, and is so again

  Scenario: No tenant writes policies of the whole cluster
    When the administrator of the tenant tries to make a policy of the whole cluster, and to remove one
    Then every attempt is FORBIDDEN
    And the platform could do so just before and just after
