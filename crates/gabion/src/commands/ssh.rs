//! `gabion ssh keygen` and `gabion ssh install-key`, through the host's OpenSSH.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use change::keys::{self, Installed, KeyType, Passphrase};

use crate::cli::{InstallKey, Keygen, SshVerb};
use crate::context::Context;
use crate::error::{Failure, usage};
use crate::exit::Exit;

pub(crate) fn run(context: &Context, verb: &SshVerb) -> Result<Exit, Failure> {
    match verb {
        SshVerb::Keygen(options) => keygen(context, options),
        SshVerb::InstallKey(options) => install(context, options),
    }
}

fn keygen(context: &Context, options: &Keygen) -> Result<Exit, Failure> {
    let (key, name) = match options.rsa {
        Some(bits) => (KeyType::Rsa(bits), "id_rsa"),
        None => (KeyType::Ed25519, "id_ed25519"),
    };
    let path = match &options.file {
        Some(path) => path.clone(),
        None => own_ssh_folder()?.join(name),
    };
    let can_ask = std::io::stdin().is_terminal() && !context.output.json;
    let passphrase = if options.no_passphrase || !can_ask { Passphrase::None } else { Passphrase::Ask };
    keys::generate(&path, key, options.comment.as_deref(), passphrase)
        .map_err(|error| usage(error.to_string(), ""))?;
    let public = keys::added(&path, "pub");
    if context.output.json {
        context.output.value(&serde_json::json!({
            "version": 1, "private-key": path, "public-key": public,
            "passphrase": passphrase == Passphrase::Ask,
        }));
        return Ok(Exit::Clean);
    }
    context.output.text(&format!("private key: {}\npublic key:  {}\n", path.display(), public.display()));
    if passphrase == Passphrase::None {
        context.output.note("The private key has no passphrase: whoever copies the file can use it.");
    }
    context.output.note(&format!(
        "next: gabion ssh install-key USER@HOST --key {}, or put the public key under [[admin]] in the policy",
        public.display()
    ));
    Ok(Exit::Clean)
}

fn install(context: &Context, options: &InstallKey) -> Result<Exit, Failure> {
    let key = match &options.key {
        Some(key) => key.clone(),
        None => own_public_key()?,
    };
    if options.destination.starts_with('-') {
        return Err(usage("the destination begins with a dash", "write it as USER@HOST"));
    }
    let installed = keys::install(&options.destination, options.port, &key)
        .map_err(|error| Failure::Stage { what: "ssh install-key", why: error.to_string() })?;
    if context.output.json {
        context.output.value(&serde_json::json!({
            "version": 1, "destination": options.destination, "added": installed == Installed::Added,
        }));
    } else {
        let what = match installed {
            Installed::Added => "added",
            Installed::WasThere => "was there already",
        };
        context.output.text(&format!("{}: {what}; a login by it works\n", options.destination));
    }
    Ok(Exit::Clean)
}

fn own_ssh_folder() -> Result<PathBuf, Failure> {
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    home.map(|home| home.join(".ssh"))
        .ok_or_else(|| usage("there is no home directory", "name the file with --file"))
}

fn own_public_key() -> Result<PathBuf, Failure> {
    let folder = own_ssh_folder()?;
    let names = ["id_ed25519.pub", "id_ed25519_sk.pub", "id_ecdsa.pub", "id_rsa.pub"];
    names.iter().map(|name| folder.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        usage(format!("there is no public key in {}", folder.display()), "make one with `gabion ssh keygen`")
    })
}
