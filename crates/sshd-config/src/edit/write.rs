//! The text of a drop-in, and lines put into a main file that reads no drop-ins.

use crate::keyword::Keyword;
use crate::tree::File;

/// The text of a drop-in: a comment, then one line for each setting. A value is written as given: quote it where
/// it holds a space that does not part two arguments.
#[must_use]
pub fn drop_in(comment: &str, settings: &[(Keyword, String)]) -> String {
    let comment =
        comment.lines().map(|line| if line.is_empty() { "#\n".to_owned() } else { format!("# {line}\n") });
    comment.chain(settings.iter().map(|(keyword, value)| format!("{keyword} {value}\n"))).collect()
}

/// The bytes of a file with lines put above its first `Match`, or at its end where it has none: the last place
/// where a line still belongs to the main part. Comments that stand right above the `Match` stay with it. To make
/// the lines win over the rest of the file, comment out what they replace, or put them first by an `Include`.
#[must_use]
pub fn insert_above_first_match(file: &File, lines: &str) -> Vec<u8> {
    let is_match = |keyword: &[u8]| keyword.eq_ignore_ascii_case(b"match");
    let first = file.directives().find(|(_, _, directive)| is_match(&directive.keyword.value));
    let mut at = first.map_or(file.lines().len(), |(line, ..)| line - 1);
    while first.is_some() && at > 0 && is_comment(&file.lines()[at - 1]) {
        at -= 1;
    }
    let mut bytes: Vec<u8> = file.lines()[..at].iter().flat_map(|line| line.bytes().to_vec()).collect();
    if bytes.last().is_some_and(|&last| last != b'\n') {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(lines.as_bytes());
    if !lines.is_empty() && !lines.ends_with('\n') {
        bytes.push(b'\n');
    }
    bytes.extend(file.lines()[at..].iter().flat_map(|line| line.bytes().to_vec()));
    bytes
}

fn is_comment(line: &crate::tree::Line) -> bool {
    *line.content() == crate::tree::Content::Comment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_in_is_a_comment_and_one_line_a_setting() {
        let text = drop_in("Written by a tool.\n\nTwo.", &[(Keyword::PermitRootLogin, "no".to_owned())]);
        assert_eq!(text, "# Written by a tool.\n#\n# Two.\nPermitRootLogin no\n");
    }

    #[test]
    fn lines_go_above_the_first_match_and_its_comments() {
        let file = File::parse(b"Port 22\n\n# for sftp\nmatch User x\n  PermitTTY no\n");
        let edited = insert_above_first_match(&file, "PermitRootLogin no");
        assert_eq!(
            String::from_utf8(edited).unwrap(),
            "Port 22\n\nPermitRootLogin no\n# for sftp\nmatch User x\n  PermitTTY no\n"
        );
    }

    #[test]
    fn without_a_match_they_go_to_the_end_whole() {
        let edited = insert_above_first_match(&File::parse(b"Port 22"), "PermitRootLogin no\n");
        assert_eq!(edited, b"Port 22\nPermitRootLogin no\n");
    }
}
