use super::*;
use proptest::prelude::*;

fn nonce() -> impl Strategy<Value = Nonce> {
    (any::<u64>(), any::<u32>()).prop_map(|(round, index)| Nonce { round, index })
}

fn ip() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>()
}

fn echo() -> impl Strategy<Value = Echo> {
    (nonce(), "[a-z]{0,8}", ip(), any::<u16>(), prop::collection::btree_map("[a-z-]{1,8}", "\\PC{0,8}", 0..4))
        .prop_map(|(nonce, pod, ip, port, headers)| Echo {
            nonce,
            who: Identity { pod, ..Identity::default() },
            peer: SocketAddr::new(ip, port),
            port,
            headers,
        })
}

fn seen() -> impl Strategy<Value = Seen> {
    prop_oneof![
        echo().prop_map(|it| Seen::Echo { echo: Box::new(it) }),
        echo().prop_map(|it| Seen::Misrouted { echo: Box::new(it) }),
        "\\PC{0,20}".prop_map(|said| Seen::Stranger { said }),
        (prop::collection::vec(ip(), 0..3), "[A-Z]{1,8}")
            .prop_map(|(addresses, rcode)| Seen::Resolved { addresses, rcode }),
        (100u16..600, prop::option::of("[a-z]{1,5}"), "\\PC{0,20}")
            .prop_map(|(status, server, said)| Seen::Http { status, server, said }),
        Just(Seen::Silence),
        Just(Seen::Accepted),
        prop::sample::select(vec![
            Refusal::Reset,
            Refusal::ResetLater,
            Refusal::HungUp,
            Refusal::PortUnreachable
        ])
        .prop_map(|how| Seen::Refused { how }),
        (any::<u8>(), any::<u8>(), prop::option::of(ip()))
            .prop_map(|(icmp_type, icmp_code, by)| Seen::Rejected { icmp_type, icmp_code, by }),
        "[A-Z]{1,8}".prop_map(|rcode| Seen::Unresolved { rcode }),
        "\\PC{0,20}".prop_map(|why| Seen::Trouble { why }),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        (
            any::<u32>(),
            any::<u32>(),
            seen(),
            any::<u64>(),
            any::<u32>(),
            prop::collection::vec(any::<u16>(), 0..4),
            prop::option::of(ip())
        )
            .prop_map(|(id, index, seen, took_us, attempts, ports, address)| Reply::Result {
                id,
                outcome: Outcome { index, seen, took_us, attempts, ports, address },
            }),
        (any::<u32>(), any::<u32>(), any::<bool>(), prop::option::of(seen())).prop_map(
            |(id, index, settled, last)| Reply::Watched {
                id,
                watched: Watched {
                    index,
                    settled,
                    changes: vec![Change { to: SeenKind::Silence, at_us: 7, samples: 3 }],
                    dropped_changes: 0,
                    due: 9,
                    missed: 1,
                    started: Clocks { monotonic_us: 5, wall_us: u64::MAX },
                    last,
                },
            }
        ),
        (any::<u32>(), any::<u64>()).prop_map(|(id, took_us)| Reply::Done { id, took_us }),
        (any::<u32>(), any::<bool>(), ip(), any::<u16>()).prop_map(|(id, complete, ip, port)| {
            Reply::Arrivals {
                id,
                arrivals: vec![Arrival {
                    index: 1,
                    times: 2,
                    port,
                    peer: SocketAddr::new(ip, port),
                    first_us: 3,
                    last_us: 4,
                }],
                half_open: vec![HalfOpen { port, peer: SocketAddr::new(ip, port) }],
                complete,
            }
        }),
        (prop::option::of(any::<u32>()), "\\PC{0,20}").prop_map(|(id, why)| Reply::Error { id, why }),
        any::<u32>().prop_map(|id| Reply::Holding { id }),
        any::<u32>().prop_map(|id| Reply::Loading { id }),
        (any::<u32>(), any::<u64>()).prop_map(|(id, processor_us)| Reply::Loaded {
            id,
            loaded: Loaded { threads: 2, processor_us, wall_us: 7 },
        }),
        (any::<u32>(), prop::collection::vec(any::<u32>(), 0..4), any::<u32>()).prop_map(
            |(id, took_us, unanswered)| Reply::Pulsed {
                id,
                pulsed: Pulsed { index: 3, took_us, unanswered, trouble: None },
            }
        ),
        (any::<u32>(), seen(), any::<u64>()).prop_map(|(id, seen, last_echo_us)| Reply::Held {
            id,
            held: Held {
                end: HoldEnd::NotOpened { seen: Box::new(seen) },
                sent: 1,
                echoes: 0,
                last_echo_us,
                first_silent_us: 1,
            },
        }),
        (any::<u32>(), any::<u32>(), any::<bool>()).prop_map(|(id, index, over)| Reply::Hails {
            id,
            hails: vec![Hailed {
                index,
                sent: 9,
                first_us: 1,
                last_us: 2,
                echoes: 0,
                first_echo_us: 0,
                trouble: None,
                over,
            }],
        }),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let transport = prop::sample::select(vec![
        Transport::Tcp,
        Transport::Udp,
        Transport::Http,
        Transport::Dns,
        Transport::DnsTcp,
        Transport::Connect,
    ]);
    let probe = (
        any::<u32>(),
        transport,
        "[a-z.]{1,20}",
        any::<u16>(),
        prop::collection::vec("[a-z]{1,4}/[a-z]{1,4}", 0..3),
    )
        .prop_map(|(index, transport, host, port, expect)| Probe {
            index,
            transport,
            host,
            port,
            expect,
            question: None,
        });
    (any::<u32>(), any::<u64>(), prop::collection::vec(probe, 0..5)).prop_flat_map(|(id, round, probes)| {
        let round = Round(round);
        let more = probes.clone();
        prop_oneof![
            Just(Request::Plan { id, round, pace: Pace::default(), probes: probes.clone() }),
            Just(Request::Watch {
                id,
                round,
                probes,
                watch: Watch {
                    every_ms: 10,
                    give_up_ms: 200,
                    until: vec![SeenKind::Echo],
                    stable: 3,
                    deadline_ms: 1_000
                },
            }),
            Just(Request::Pulse {
                id,
                round,
                probes: more,
                pulse: Pulse { every_ms: 5, give_up_ms: 1_000, for_ms: 600 },
            }),
            Just(Request::Load { id, load: Load { threads: 2, for_ms: 1_000 } }),
            Just(Request::Arrivals { id, round, within_ms: 1_500 }),
            Just(Request::Ping { id }),
            Just(Request::Hails { id }),
            Just(Request::Cancel { id }),
        ]
    })
}

#[test]
fn the_wire_reads_as_documented() {
    let plan = r#"{"ask":"plan","id":1,"round":"00000000000000ff","probes":[{"index":0,"transport":"tcp","host":"10.0.0.1","port":8080,"expect":["bravo/api-0"]}]}"#;
    let Request::Plan { round, pace, probes, .. } = serde_json::from_str(plan).unwrap() else {
        panic!("not a plan");
    };
    assert_eq!((round, pace, probes.len()), (Round(255), Pace::default(), 1));
    let refused = Reply::Result {
        id: 1,
        outcome: Outcome {
            index: 0,
            seen: Seen::Refused { how: Refusal::Reset },
            took_us: 120,
            attempts: 1,
            ports: vec![40_000],
            address: None,
        },
    };
    assert_eq!(
        serde_json::to_string(&refused).unwrap(),
        r#"{"say":"result","id":1,"index":0,"saw":"refused","how":"reset","took_us":120,"attempts":1,"ports":[40000]}"#
    );
}

#[test]
fn only_exact_greetings_count() {
    let nonce = Nonce { round: 1, index: 2 };
    assert_eq!(greeting(nonce), "PLIMSOLL/1 000000000000000100000002\n");
    for wrong in [
        "",
        "PLIMSOLL/1",
        "PLIMSOLL/1 1",
        "PLIMSOLL/2 000000000000000100000002\n",
        "GET / HTTP/1.1\r\n",
        "PLIMSOLL/1 00000000000000010000000G\n",
        "PLIMSOLL/1 +00000000000000100000002\n",
    ] {
        assert_eq!(read_greeting(wrong.as_bytes()), None, "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn requests_survive_the_wire(request in request()) {
        let text = serde_json::to_string(&request).unwrap();
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
    }

    #[test]
    fn replies_survive_the_wire(reply in reply()) {
        let text = serde_json::to_string(&reply).unwrap();
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(Reply::read(text.as_bytes()).unwrap(), reply);
    }

    #[test]
    fn greetings_survive_the_wire(nonce in nonce()) {
        prop_assert_eq!(read_greeting(greeting(nonce).as_bytes()), Some(nonce));
    }

    #[test]
    fn nothing_breaks_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_greeting(&bytes);
        let _ = serde_json::from_slice::<Request>(&bytes);
        let _ = Reply::read(&bytes);
    }
}
