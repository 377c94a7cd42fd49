@TEN-11 @should @risk-none @deadline-3m
Feature: Tenants come and go within the promised times

  Scenario: Several tenants at once are usable, and later gone, within the promised times
    When 8 tenants are onboarded the platform's way, all at the same time
    And they are offboarded, all at the same time
    Then the median and the 99th percentile of onboarding are within the promised times
    And the median and the 99th percentile of offboarding are within the promised times
