@IAM-01 @must @needs-oidc @risk-none @lock-issuer
Feature: Only tokens of the trusted issuer are accepted
  Each token has one flaw and is a good one otherwise. Whoever holds a token and the public keys of the issuer could
  make those that are forged.

  Scenario: A good token is accepted
    When a good token is presented
    Then it is accepted, for the user and the groups that it names and no others

  Scenario Outline: A token is refused <flaw>
    When a token is presented <flaw>
    Then every attempt is UNAUTHENTICATED
    And a good token of the same user was OPEN just before and just after

    Examples: of somebody else
      | flaw                                               |
      | of an issuer that does not exist                   |
      | of another issuer that exists                      |
      | for another audience                               |

    Examples: at the wrong time
      | flaw                                               |
      | that has expired                                   |
      | that is not yet good                               |

    Examples: with a signature that does not hold
      | flaw                                               |
      | whose claims were changed                          |
      | whose signature was changed                        |
      | whose signature is empty                           |
      | that says that it is not signed                    |
      | sealed with the public key as a secret             |
      | signed with a key that nobody knows                |
      | signed with another key under the id of the issuer's |
      | that brings its own key                            |
