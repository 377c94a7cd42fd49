@must @risk-none
Feature: A tenant gets its share of the cluster and no more

  @TEN-02
  Scenario: Every resource that a tenant could exhaust has the promised limit
    Given tenants "alpha" and "bravo", onboarded the platform's way
    When the quotas of each tenant are read
    Then cpu, memory, pods, storage, services, load balancers and node ports are each limited
    And every limit equals the profile's, resource by resource
    And each limit counts every object of its namespace, not only some

  @TEN-02
  Scenario: No kind of object can be piled up without end
    Given tenant "alpha", onboarded the platform's way
    When the quotas of each tenant are read
    Then every kind of object that its administrator can make has a limit on its number

  # Pods of these scenarios are never scheduled: admission is where a quota acts, and it counts a pod from the moment
  # that it is stored. So the limit can be filled without loading a node.
  @TEN-03 @lock-charlie
  Scenario Outline: The limit on <resource> is reached and never passed
    Given tenant "charlie", onboarded the platform's way, with a running workload
    When its administrator uses up all of the <resource> that it has left, and then asks for more
    Then everything up to the limit is admitted
    And what goes beyond it is QUOTA_EXCEEDED, naming the tenant's quota
    And the running workload is unharmed
    And after deletion the usage is exactly what it was, and there is room again

    Examples: what is counted
      | resource |
      | pods     |

    @slow
    Examples: what is measured, and the rest of what is counted
      | resource      |
      | cpu           |
      | cpu limits    |
      | memory        |
      | memory limits |
      | services      |
      | volume claims |
      | storage       |

  @TEN-03 @lock-charlie
  Scenario: Many at once never pass the limit
    Given tenant "charlie", onboarded the platform's way, with a running workload
    When its administrator asks for twice as many pods as fit, all at the same time
    Then exactly as many as fit are admitted
    And what goes beyond it is QUOTA_EXCEEDED, naming the tenant's quota
    And the running workload is unharmed
    And after deletion the usage is exactly what it was, and there is room again
