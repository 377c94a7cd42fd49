@NET-01 @must @needs-network-policy @risk-none
Feature: What nobody declared is closed
  A pod that no policy but the tenant's default names can neither be reached nor reach out. The other end stands in a
  namespace without any policy, so that each direction is judged alone: a guard on one side cannot cover for the other.

  Background:
    Given tenant "alpha", onboarded the platform's way
    And a control tenant without network policy

  Scenario: Nothing comes in to a pod that matches no other policy
    Given a fresh pod without labels in "alpha"
    When the control tenant tries it over TCP and UDP
    Then every attempt is DROPPED or REJECTED
    And the same was OPEN towards a pod of the control tenant just before and just after

  Scenario: Nothing goes out of a pod that matches no other policy
    Given a fresh pod without labels in "alpha"
    When it tries the control tenant over TCP and UDP
    Then every attempt is DROPPED or REJECTED
    And the same was OPEN from a pod of the control tenant just before and just after
