@IAM-05 @must @risk-none @slow
Feature: No way up
  A tenant cannot come to hold more than it was given. Every attempt is real, by the tenant's own administrator; what
  would do harm if it got through is tried without being stored.

  Background:
    Given tenants "alpha" and "bravo", onboarded the platform's way

  Scenario Outline: The administrator of a tenant cannot <climb>
    When the administrator of "alpha" tries every way to <climb>, at the expense of "bravo"
    Then every attempt is FORBIDDEN or ADMISSION_DENIED
    And each of them was OPEN for the administrator of the cluster just before and just after

    Examples: rights
      | climb                                             |
      | bind itself to a wider role                       |
      | write itself a wider role                         |
      | get a token of another service account            |
      | get a certificate under another name              |
      | come between the API server and those who ask it  |

    Examples: places
      | climb                                             |
      | get hold of a node                                |
      | enter the pods of others                          |

    Examples: namespaces
      | climb                                                       |
      | overwrite the namespace of another                          |
      | apply over the namespace of another                         |
      | get past the guards of a namespace through its subresources |
      | forge whose a namespace is                                  |
      | make a namespace                                            |
      | write into the namespace of another                         |
      | remove what another has                                     |

  Scenario: A workload is taken for nobody but itself
    When a workload of "alpha" asks to be taken for others, those of "bravo" among them
    Then every attempt is FORBIDDEN
    And each of them was OPEN for the harness just before and just after
