@TEN-06 @must @risk-none
Feature: Workloads run no image without asking for it
  An image that another tenant has pulled lies on the node. Who may run it is known to the registry alone, so that each
  pod has to ask there.

  Scenario Outline: A pod that <takes a shortcut> is refused
    Given tenant "alpha", onboarded the platform's way
    When its administrator asks for a pod that <takes a shortcut>
    Then the attempt is ADMISSION_DENIED
    And a pod that asks its registry each time was OPEN for the same administrator just before and just after

    Examples:
      | takes a shortcut                                        |
      | takes an image from the node if it is there             |
      | never asks for its image                                |
      | has an init container that takes an image from the node |
