@TEN-07 @must @risk-none
Feature: Tenants cannot reach past their namespace with services
  A service is a name and an address for whatever it points at. What a tenant may point at, and who may come in by it,
  is the platform's to say.

  Scenario Outline: A service that <reaches out> is refused
    Given tenant "alpha", onboarded the platform's way
    When its administrator asks for a service that <reaches out>
    Then the attempt is FORBIDDEN or ADMISSION_DENIED or QUOTA_EXCEEDED
    And a plain service was OPEN for the same administrator just before and just after

    Examples: to the outside
      | reaches out                                   |
      | opens a port on every node                    |
      | asks for a load balancer                      |
      | asks for a load balancer without a node port  |
      | draws the traffic of an address               |

    Examples: to somewhere else by name
      | reaches out                                   |
      | stands for a name outside                     |
      | stands for a service of another tenant        |

  Scenario Outline: A plain service cannot be turned into one that <reaches out>
    Given tenant "alpha", onboarded the platform's way, with a running workload
    When its administrator turns a service of its own into one that <reaches out>
    Then the attempt is FORBIDDEN or ADMISSION_DENIED or QUOTA_EXCEEDED
    And another change to the service was OPEN for the same administrator just before and just after

    Examples:
      | reaches out                                   |
      | opens a port on every node                    |
      | asks for a load balancer                      |
      | draws the traffic of an address               |
      | stands for a service of another tenant        |

  Scenario Outline: A tenant cannot write <endpoints> for a pod of another
    Given tenants "alpha" and "bravo", onboarded the platform's way
    And each runs the three-tier workload
    When the administrator of "alpha" writes <endpoints> for a pod of "bravo"
    Then the attempt is FORBIDDEN or ADMISSION_DENIED
    And the same attempt was OPEN for the platform itself just before and just after

    Examples:
      | endpoints         |
      | endpoints         |
      | an endpoint slice |

  # Whoever made it point there: what carries traffic between tenants is the network, and that is closed.
  @needs-network-policy @slow
  Scenario Outline: A service that points at a pod of another tenant by <means> carries nothing there
    Given tenants "alpha" and "bravo", onboarded the platform's way
    And each runs the three-tier workload
    When a service of "alpha" is pointed at the api of "bravo" by <means>
    And the web server of "alpha" tries it
    Then the attempt is DROPPED or REJECTED
    And the same service was OPEN just before and just after, pointed at the api of "alpha" itself
    And the api of "bravo" was OPEN for its own web server all the while

    Examples:
      | means             |
      | endpoints         |
      | an endpoint slice |
      | an external name  |
