//! The configuration of a private Dovecot, in the syntax of 2.3 and of 2.4.

use std::fs;
use std::process::Command;

use super::{Dovecot, Options, Owner, PASSWORD, Ports};

impl Dovecot {
    /// Writes `dovecot.conf` for the installed version.
    pub(super) fn write_config(&self, options: &Options, owner: &Owner) {
        let version = Command::new(&self.program).arg("--version").output().expect("dovecot runs").stdout;
        let version = String::from_utf8_lossy(&version).into_owned();
        let config = if version.starts_with("2.3") || version.starts_with("2.2") {
            self.config_2_3(options, owner)
        } else {
            self.config_2_4(options, owner)
        };
        let _ = fs::remove_file(self.directory.path().join("dovecot.log"));
        fs::write(self.config(), config).expect("the configuration");
    }

    fn config_2_3(&self, options: &Options, owner: &Owner) -> String {
        let dir = self.directory.path().display();
        let Owner { user, group, .. } = owner;
        let capabilities = options.capabilities.map(|list| format!("imap_capability = {list}\n"));
        format!(
            "{common}\
             protocols = imap lmtp\n\
             mail_location = maildir:{dir}/mail/%u\n\
             disable_plaintext_auth = no\n\
             ssl_cert = <{dir}/cert.pem\n\
             ssl_key = <{dir}/key.pem\n\
             {capabilities}\
             {oauth}\
             passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n\
             userdb {{\n driver = static\n args = uid={user} gid={group} home={dir}/mail/%u allow_all_users=yes\n}}\n\
             service lmtp {{\n inet_listener lmtp {{\n address = 127.0.0.1\n port = {lmtp}\n }}\n}}\n\
             {extra}\n",
            common = self.config_of_both(options, owner),
            capabilities = capabilities.unwrap_or_default(),
            oauth = options.introspection.as_deref().map(|url| self.oauth_2_3(url)).unwrap_or_default(),
            lmtp = self.ports.lmtp,
            extra = options.extra,
        )
    }

    /// The passdb that asks `url` about tokens; its own file, as 2.3 wants it.
    fn oauth_2_3(&self, url: &str) -> String {
        let file = self.directory.path().join("oauth2.conf");
        let settings = format!(
            "introspection_mode = get\nintrospection_url = {url}?token=\nusername_attribute = username\n\
             active_attribute = active\nactive_value = true\n"
        );
        fs::write(&file, settings).expect("the passdb's file");
        format!(
            "passdb {{\n driver = oauth2\n mechanisms = xoauth2 oauthbearer\n args = {}\n}}\n",
            file.display()
        )
    }

    /// Dovecot 2.4 renamed what is here (doc.dovecot.org, "Upgrading from 2.3 to 2.4").
    fn config_2_4(&self, options: &Options, owner: &Owner) -> String {
        let dir = self.directory.path().display();
        let Owner { user, group, .. } = owner;
        let capabilities = options.capabilities.map(|list| {
            let list = list.split(' ').map(|word| format!(" {word} = yes\n")).collect::<String>();
            format!("imap_capability {{\n{list}}}\n")
        });
        format!(
            "dovecot_config_version = 2.4.0\n\
             dovecot_storage_version = 2.4.0\n\
             {common}\
             protocols {{\n imap = yes\n lmtp = yes\n}}\n\
             mail_driver = maildir\n\
             mail_home = {dir}/mail/%{{user}}\n\
             mail_path = {dir}/mail/%{{user}}\n\
             auth_allow_cleartext = yes\n\
             ssl_server_cert_file = {dir}/cert.pem\n\
             ssl_server_key_file = {dir}/key.pem\n\
             {capabilities}\
             {oauth}\
             passdb static {{\n password = {PASSWORD}\n}}\n\
             userdb static {{\n fields {{\n uid = {user}\n gid = {group}\n home = {dir}/mail/%{{user}}\n }}\n}}\n\
             userdb_static_allow_all_users = yes\n\
             service lmtp {{\n inet_listener lmtp {{\n listen = 127.0.0.1\n port = {lmtp}\n }}\n}}\n\
             {extra}\n",
            common = self.config_of_both(options, owner),
            capabilities = capabilities.unwrap_or_default(),
            oauth = options.introspection.as_deref().map(oauth_2_4).unwrap_or_default(),
            lmtp = self.ports.lmtp,
            extra = options.extra,
        )
    }

    fn config_of_both(&self, options: &Options, owner: &Owner) -> String {
        let dir = self.directory.path().display();
        let Ports { imap, imaps, .. } = self.ports;
        let Owner { user, group, root, .. } = owner;
        let users = if *root {
            String::new() // Debian's packages make `dovecot` and `dovenull`
        } else {
            let unchrooted = ["imap-login", "anvil", "stats"]
                .map(|service| format!("service {service} {{\n chroot =\n}}\n"))
                .concat();
            format!(
                "default_internal_user = {user}\ndefault_internal_group = {group}\n\
                 default_login_user = {user}\n{unchrooted}"
            )
        };
        let (separator, prefix) = if options.inbox_namespace { (".", "INBOX.") } else { ("/", "") };
        let token = if options.introspection.is_some() { " xoauth2 oauthbearer" } else { "" };
        format!(
            "base_dir = {dir}/run\n\
             state_dir = {dir}/state\n\
             instance_name = acuse-test-{imap}\n\
             log_path = {dir}/dovecot.log\n\
             listen = 127.0.0.1\n\
             {users}\
             mail_uid = {user}\n\
             mail_gid = {group}\n\
             first_valid_uid = 1\n\
             first_valid_gid = 1\n\
             auth_mechanisms = plain login{token}\n\
             auth_failure_delay = 0\n\
             ssl = yes\n\
             mail_max_userip_connections = 200\n\
             lda_mailbox_autocreate = yes\n\
             postmaster_address = postmaster@localhost\n\
             namespace inbox {{\n inbox = yes\n separator = {separator}\n prefix = {prefix}\n}}\n\
             service imap-login {{\n\
             inet_listener imap {{\n port = {imap}\n }}\n\
             inet_listener imaps {{\n port = {imaps}\n ssl = yes\n }}\n}}\n"
        )
    }
}

/// The same in 2.4.
fn oauth_2_4(url: &str) -> String {
    format!(
        "oauth2 {{\n introspection_mode = get\n introspection_url = {url}?token=\n username_attribute = username\n \
         active_attribute = active\n active_value = true\n}}\n\
         passdb oauth2 {{\n mechanisms_filter = xoauth2 oauthbearer\n}}\n"
    )
}
