@must @needs-network-policy @risk-none
Feature: Inside a tenant the declared paths are open, and no others
  The three-tier workload declares its paths: web to api, and api to db.

  Background:
    Given tenants "alpha" and "bravo", onboarded the platform's way
    And each runs the three-tier workload

  @NET-03
  Scenario: The declared paths are open
    When every workload tries the paths that its tenant declares, by pod address, service address, service name and headless name
    Then inside each tenant every declared path is OPEN

  @NET-04
  Scenario: Everything else inside a tenant is closed
    Given a control tenant without network policy
    When every workload tries everything else in its tenant, by pod address, service address, service name and headless name, over TCP and UDP
    Then inside each tenant every other path is DROPPED or REJECTED
    And each denied path was OPEN for the control tenant just before and just after
