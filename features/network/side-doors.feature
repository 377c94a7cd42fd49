@NET-12 @must @needs-network-policy @risk-none @slow
Feature: There is no side door
  A boundary that holds on the main road may be passed beside it: from the same node, by a port of a node, by a pod that
  shares the network of its node, by a service that somebody put in front of a pod that is not its own. Tenants can make
  none of these; the platform can, and what it makes must be no way around the policies of a tenant.

  Background:
    Given tenants "alpha" and "bravo", onboarded the platform's way
    And each runs the three-tier workload
    And two control tenants without network policy

  @needs-multi-node
  Scenario: It makes no difference on which node a pod runs
    When every workload tries every one of the other tenant, on the same node and on another
    Then between tenants every path is DROPPED or REJECTED
    And each denied path was OPEN for the control tenants just before and just after

  Scenario: A port of every node leads to no tenant, and leads no tenant out
    Given the platform opens a node port in front of a workload of "bravo" and in front of one of a control tenant
    When "alpha" and the control tenants try these by every node and by the service's own address
    Then every attempt is DROPPED or REJECTED
    And each denied path was OPEN for the control tenants just before and just after

  Scenario: A pod in the network of its node is no way out of a tenant, and no way into one
    Given a pod of the platform that shares the network of each node
    When "alpha" tries these pods, and these pods try "alpha" from other nodes
    Then every attempt is DROPPED or REJECTED
    And each denied path was OPEN for the control tenants just before and just after

  Scenario: A pod that answers at a port of its node is no way out of a tenant
    Given a pod of the platform that answers at a port of each node
    When "alpha" tries these pods
    Then every attempt is DROPPED or REJECTED
    And each denied path was OPEN for the control tenants just before and just after
