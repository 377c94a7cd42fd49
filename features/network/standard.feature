@NET-10 @must @needs-network-policy @risk-none
Feature: Network policies mean what the standard says
  Policies of every kind are put on throwaway namespaces. Who reaches whom is predicted from the text of the standard
  alone, every path between the pods is tried over TCP and UDP, and both are compared.

  Scenario: Policies open and close exactly what the standard says
    Given two throwaway namespaces with three pods each
    When policies of every kind are applied one after the other, and some that are made at random
    Then every path is open or closed as the standard says
    And every path was OPEN without policies just before and just after
    And each kind of path was seen both open and closed
