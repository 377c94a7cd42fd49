@IAM-02 @must @needs-oidc @risk-none @lock-issuer
Feature: Groups decide rights
  Whoever is in a group of a tenant, by the word of the identity provider, has the rights of that role; nobody else has.

  Background:
    Given tenants "alpha" and "bravo", onboarded the platform's way

  Scenario Outline: Who is in the group of the <role>s has exactly the rights of the <role>
    When a user who logs in with the group of the <role>s of "alpha" is asked about every verb on every resource that the cluster serves, there, in the namespace of "bravo" and on the cluster
    Then its rights in its own namespace are exactly those that the profile promises
    And it has no rights in the namespace of "bravo"
    And on the cluster it has only what every user has

    Examples:
      | role          |
      | administrator |
      | viewer        |

  @slow
  Scenario: Who is in no group has no rights
    When a user who logs in without any group is asked about every verb on every resource that the cluster serves, in the namespaces of "alpha" and "bravo" and on the cluster
    Then it has only what every user has, and that it has

  Scenario Outline: Who logs in <groups> can do nothing in the tenant
    When a user of "alpha" who logs in <groups> does each verb on a config map there
    Then every attempt is FORBIDDEN
    And with the group of the administrators each was OPEN for the same user just before and just after

    Examples: when the group was taken away
      | groups                                        |
      | without that group                            |

    Examples: with a group that is not it
      | groups                                        |
      | with a group whose name goes on after it      |
      | with a group whose name ends with it          |
      | with a group whose name stops short of it     |
      | with the group in other letters               |
      | with the group of another tenant              |
      | with the group as the cluster calls it        |
      | with the cluster's own group of masters       |
