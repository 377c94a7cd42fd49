//! `plimsoll-agent`: runs in every test pod, as the server that is probed and as the client that probes.

use std::io;
use std::process::ExitCode;

use lexopt::prelude::*;
use plimsoll_agent::server::{self, Ports};
use plimsoll_agent::{client, from_environment};

const HELP: &str = "\
The in-pod agent of Plimsoll.

Usage: plimsoll-agent serve [--tcp PORTS] [--udp PORTS] [--http PORTS] [--hail NONCE@udp/ADDRESS:PORT]...
       plimsoll-agent drive     read requests on standard input, write replies to standard output
       plimsoll-agent ready     exit 0 once the server of this pod has all its ports open
       plimsoll-agent --version

PORTS is a comma-separated list. The environment says who this agent is:
PLIMSOLL_TENANT, PLIMSOLL_NAMESPACE, PLIMSOLL_POD, PLIMSOLL_NODE, PLIMSOLL_POD_IP.
";

enum Command {
    Serve(Ports),
    Drive,
    Ready,
    Print(String),
}

fn main() -> ExitCode {
    let command = match parse(lexopt::Parser::from_env()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("plimsoll-agent: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plimsoll-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut command = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Print(HELP.to_owned())),
            Short('V') | Long("version") => {
                return Ok(Command::Print(format!("plimsoll-agent {}\n", env!("CARGO_PKG_VERSION"))));
            }
            Value(word) if command.is_none() => {
                command = Some(match word.string()?.as_str() {
                    "serve" => Command::Serve(Ports::default()),
                    "drive" => Command::Drive,
                    "ready" => Command::Ready,
                    other => return Err(format!("there is no command `{other}`").into()),
                });
            }
            Long("hail") => {
                let Some(Command::Serve(ports)) = &mut command else {
                    return Err(argument.unexpected());
                };
                ports.hails.push(arguments.value()?.string()?.parse()?);
            }
            Long(list @ ("tcp" | "udp" | "http")) => {
                let Some(Command::Serve(ports)) = &mut command else {
                    return Err(argument.unexpected());
                };
                let list = match list {
                    "tcp" => &mut ports.tcp,
                    "udp" => &mut ports.udp,
                    _ => &mut ports.http,
                };
                for port in arguments.value()?.string()?.split(',') {
                    list.push(port.trim().parse().map_err(|_| format!("`{port}` is no port"))?);
                }
            }
            _ => return Err(argument.unexpected()),
        }
    }
    command.ok_or_else(|| "a command is missing".into())
}

fn run(command: Command) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let who = from_environment();
    let result = match command {
        Command::Serve(ports) => runtime.block_on(server::serve(ports, who)),
        Command::Drive => {
            let input = io::BufReader::new(io::stdin());
            runtime.block_on(client::drive(input, io::stdout(), who))
        }
        Command::Ready => runtime.block_on(server::ready(&who)),
        Command::Print(text) => {
            use std::io::Write;
            io::stdout().write_all(text.as_bytes())
        }
    };
    runtime.shutdown_background();
    result
}
