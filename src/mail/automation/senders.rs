//! Senders that nobody reads answers to, and machines that report on themselves.

use super::super::bounce;
use super::Evidence;

/// Local parts that nobody reads the mail of.
const NO_REPLY: &[&str] = &[
    "noreply",
    "donotreply",
    "nepasrepondre",
    "noresponder",
    "norespondas",
    "nocontestar",
    "noresponda",
    "mailerdaemon",
    "autoresponder",
    "noresponderaestecorreo",
    "noresposta",
];

/// Local parts of machines that report on themselves: monitors, the accounts that a server's jobs and daemons write
/// as, and the programs that run list servers (RFC 5230 §4.6).
const MACHINES: &[&str] = &[
    "bounce",
    "bounces",
    "monitor",
    "monitoring",
    "monitoreo",
    "nagios",
    "zabbix",
    "icinga",
    "prometheus",
    "grafana",
    "pingdom",
    "munin",
    "monit",
    "checkmk",
    "alertmanager",
    "alerts",
    "alertas",
    "uptimerobot",
    "notifications",
    "notification",
    "notificaciones",
    "postmaster",
    "cron",
    "crond",
    "crondaemon",
    "root",
    "daemon",
    "nobody",
    "wwwdata",
    "apache",
    "nginx",
    "cpanel",
    "plesk",
    "wordpress",
    "logwatch",
    "fail2ban",
    "smartd",
    "mdadm",
    "mysql",
    "oracle",
    "postgres",
    "listserv",
    "majordomo",
    "mailman",
    "mlmmj",
    "ezmlm",
];

/// Whether an address is one by which a list server or its keeper speaks: `owner-x`, `x-request`, `x+bounces`
/// (RFC 2142 §6, RFC 5230 §4.6).
fn is_list_role(local: &str) -> bool {
    let local = local.to_lowercase();
    let role = |name: &str| matches!(name, "owner" | "request" | "bounce" | "bounces");
    local.starts_with("owner-") || local.rsplit_once(['-', '+']).is_some_and(|(_, end)| role(end))
}

fn letters(local: &str) -> String {
    local.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Whether the local part says that nobody reads answers.
pub(super) fn is_nobody(local: &str) -> bool {
    let local = letters(local);
    NO_REPLY.iter().any(|name| local.starts_with(name) || local.ends_with(name))
}

/// Whether the sender is a monitor, a mail or list server, or another machine.
pub(super) fn is_machine(evidence: &Evidence<'_>) -> bool {
    MACHINES.contains(&letters(evidence.from_local).as_str())
        || is_list_role(evidence.from_local)
        || bounce::has_server_name(evidence.header)
        || bounce::is_report_subject(evidence.subject)
}
