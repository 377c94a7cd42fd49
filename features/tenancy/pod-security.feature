@TEN-06 @must @risk-none
Feature: Workloads run under the promised pod security level
  Each attempt is a compliant pod with one thing changed, so that a refusal can only be for that one thing. What is
  tested is admission, which a server-side dry run passes through like any other request; nothing has to run.

  Background:
    Given tenant "alpha", onboarded the platform's way

  Scenario Outline: A pod that <violation> is refused
    When its administrator asks for a pod that <violation>
    Then the attempt is ADMISSION_DENIED, naming what guards pod security
    And the compliant pod was OPEN for the same administrator just before and just after

    Examples: the host
      | violation                       |
      | runs privileged                 |
      | mounts a path of the host       |
      | uses the network of the host    |
      | sees the processes of the host  |
      | shares memory with the host     |
      | claims a port of the host       |

    Examples: the kernel
      | violation                       |
      | adds a capability               |
      | keeps the default capabilities  |
      | runs as root                    |
      | may gain privileges             |
      | sets an unsafe kernel parameter |
      | runs without seccomp            |

    Examples: the ways around
      | violation                                   |
      | runs a privileged init container            |
      | runs one unsafe container beside a safe one |

    Examples: storage past any claim
      | violation                                   |
      | mounts a share of the network by itself     |
      | mounts a disk of the network by itself      |
