@NET-06 @must @needs-network-policy @risk-none @slow
Feature: Tenants do not reach the insides of the platform
  What the platform itself is made of lies a hop away from every pod: the API server, the kubelet of the node, the node
  itself, the service by which a cloud tells a machine its credentials, and whatever runs in the system namespaces. The
  profile says which of these a tenant may reach. A pod without any policy, on the same node, tries the same.

  Background:
    Given tenant "alpha", onboarded the platform's way
    And it runs the three-tier workload
    And a control tenant without network policy

  Scenario Outline: Tenants reach <what> only where that is promised
    When every workload tries <what>, over TCP
    Then each is DROPPED or REJECTED where it is promised to be closed, and OPEN where it is promised to be open
    And each that is closed was OPEN for the control tenant just before and just after

    Examples:
      | what                                           |
      | the API server                                 |
      | the kubelets                                   |
      | the addresses of the nodes                     |
      | the metadata service                           |
      | the pods and services of the system namespaces |
