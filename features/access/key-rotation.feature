@IAM-08 @should @needs-oidc @risk-load @lock-issuer
Feature: New keys of the issuer lock nobody out, and old keys out

  Scenario: The keys of the issuer change while people log in
    When the issuer signs with a new key and withdraws the old one, while a user logs in again and again
    Then nobody is locked out meanwhile, neither with a fresh token nor with one of the old key while it is published
    And tokens of the new key are OPEN at once
    And tokens of the old key are UNAUTHENTICATED within the promised time, and stay so
    And tokens of the new key were OPEN just before and just after each of these
