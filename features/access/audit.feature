@IAM-09 @must @needs-audit @risk-none
Feature: What a tenant does is on record

  Background:
    Given tenants "alpha" and "bravo", onboarded the platform's way

  Scenario: Who did what, and when
    When the administrator of "alpha" makes, reads, changes and removes a config map
    Then each of these is on record within the promised time, with user, verb, object, result and time

  @needs-oidc @lock-issuer
  Scenario: Who logs in is on record by the name that the cluster knows
    When a user who logs in with the group of the administrators of "alpha" makes, reads, changes and removes a config map
    Then each of these is on record within the promised time, with user, verb, object, result and time

  Scenario: What was refused is on record, too
    When the administrator of "alpha" tries to read a secret of "bravo"
    Then the attempt is FORBIDDEN
    And the same attempt was OPEN for the administrator of "bravo" just before and just after
    And each of these is on record within the promised time, with user, verb, object, result and time

  Scenario: The secrets of a tenant are not on record
    When the administrator of "alpha" makes, changes, reads, lists and removes a secret with a marked value
    Then each of these is on record within the promised time, with user, verb, object, result and time
    And the marked value is nowhere on record, neither plain nor encoded
