//! The same capture through other eyes.

use std::path::Path;
use std::process::Command;

use crate::run;

/// The frames that are not as they should be. The status of a checksum that is wrong is 0.
const WRONG: &str = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 \
                     || udp.checksum.status == 0 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0";

pub(crate) fn is_there() -> bool {
    run::is_there("tshark", &["--version"])
}

/// One line for each frame that is wrong.
pub(crate) fn check(file: &Path) -> Result<Vec<String>, String> {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(file).args(["-Y", WRONG]);
    for protocol in ["ip", "tcp", "udp"] {
        command.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
    }
    // The simulation does not answer for what is inside a stream: a port number that by chance is some
    // protocol's must not turn an example's text into a malformed packet of that protocol.
    for protocol in ["tcp", "udp"] {
        command.args(["-d", &format!("{protocol}.port==1-65535,data")]);
    }
    let found = run::output(command)?;
    Ok(found.lines().map(|line| format!("tshark: {}", line.trim())).collect())
}
