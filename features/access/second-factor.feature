@IAM-03 @must @needs-oidc @risk-none @lock-issuer
Feature: Production needs a second factor

  Scenario: A second factor is asked for where people depend on the cluster, and nowhere else
    When a user logs in without a second factor
    Then it is let in, unless the cluster is a production cluster

  Scenario: The same user needs a second factor in one cluster and not in the other
    Given a production cluster, and one that is not
    When the same user logs in to each without a second factor
    Then in the production cluster the attempt is UNAUTHENTICATED
    And with a second factor it was OPEN for the same user just before and just after
    And in the other cluster it is OPEN with and without
