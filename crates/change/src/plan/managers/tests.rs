use super::rules::{take_out_file, take_out_ufw};
use super::*;
use crate::iptables::tests::UFW_AND_DOCKER;

#[test]
fn of_ufw_nothing_stays_and_of_docker_nothing_goes() {
    let before = Save::parse(UFW_AND_DOCKER).unwrap();
    let mut after = before.clone();
    take_out_ufw(&mut after);
    assert_eq!(
        after.text(),
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n\
         -A INPUT -s 192.0.2.7/32 -j DROP\n-A FORWARD -o docker0 -j DOCKER\n\
         -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\nCOMMIT\n"
    );
    assert_eq!(
        edit(&before, &after).unwrap(),
        "*filter\n:INPUT ACCEPT [0:0]\n-D INPUT 1\n-F ufw-before-input\n-F ufw-user-input\n-X ufw-before-input\n\
         -X ufw-user-input\nCOMMIT\n"
    );
}

#[test]
fn of_a_saved_file_its_rules_go_and_those_of_others_stay() {
    let file = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n:mine - [0:0]\n\
                -A INPUT -i lo -j ACCEPT\n-A INPUT -j mine\n-A FORWARD -o docker0 -j DOCKER\n-A mine -s 192.0.2.0/24 -j ACCEPT\nCOMMIT\n";
    let live = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n:f2b-sshd - [0:0]\n\
                :mine - [0:0]\n-A INPUT -p tcp -j f2b-sshd\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j mine\n-A FORWARD -o docker0 -j DOCKER\n\
                -A mine -s 192.0.2.0/24 -j ACCEPT\nCOMMIT\n";
    let file = Save::parse(file).unwrap();
    let mut save = Save::parse(live).unwrap();
    take_out_file(&mut save, &file).unwrap();
    assert_eq!(
        save.text(),
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n:f2b-sshd - [0:0]\n\
         -A INPUT -p tcp -j f2b-sshd\n-A FORWARD -o docker0 -j DOCKER\nCOMMIT\n"
    );
    // Nothing in common: nobody can tell.
    let mut other =
        Save::parse("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 192.0.2.1/32 -j DROP\nCOMMIT\n").unwrap();
    assert!(take_out_file(&mut other, &file).is_err());
    let nat = Save::parse("*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o eth0 -j MASQUERADE\nCOMMIT\n")
        .unwrap();
    assert!(take_out_file(&mut save, &nat).is_err(), "what no policy expresses stays");
    let docker = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\nCOMMIT\n";
    assert!(take_out_file(&mut save, &Save::parse(docker).unwrap()).is_ok());
}

#[test]
fn the_tables_of_a_configuration_are_found() {
    let text = "#!/usr/sbin/nft -f\nflush ruleset\n\ntable inet filter {\n\tchain input {\n\t}\n}\nadd table ip6 x\ntable nat{\n}\n";
    assert_eq!(
        tables_of(text),
        [(Family::Inet, "filter".to_owned()), (Family::Ip6, "x".to_owned()), (Family::Ip, "nat".to_owned())]
    );
    assert!(has_nat("*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n"));
    assert!(!has_nat("*nat\nCOMMIT\n*filter\n-A INPUT -j DROP\nCOMMIT\n"));
}
