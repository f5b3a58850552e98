//! Files of the MaxMind DB format 2.0, as small as tests need them: IPv6 trees with records of 24
//! bits, and records that are maps of maps, lists, texts and numbers.
//!
//! The format: <https://maxmind.github.io/MaxMind-DB/>.

use std::net::{IpAddr, Ipv6Addr};

/// A value of a record.
#[derive(Clone, Debug)]
pub enum Value {
    Text(&'static str),
    Short(u16),
    Number(u32),
    Long(u64),
    Double(f64),
    List(Vec<Value>),
    Map(Vec<(&'static str, Value)>),
}

/// Marks the beginning of the metadata.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// A file of the given sort (`GeoLite2-City`) with a record for each prefix.
pub fn database(sort: &'static str, records: &[(&str, Value)]) -> Vec<u8> {
    let mut data = Vec::new();
    // Nodes of two records: another node, nothing, or an offset of data.
    let mut nodes: Vec<[Record; 2]> = vec![[Record::Nothing; 2]];
    for (prefix, value) in records {
        let offset = data.len();
        encode(value, &mut data);
        insert(&mut nodes, prefix, offset);
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for node in &nodes {
        for record in node {
            let number = match record {
                Record::Nothing => count,
                Record::Node(number) => *number,
                Record::Data(offset) => count + 16 + offset,
            };
            let bytes = u32::try_from(number).unwrap().to_be_bytes();
            assert_eq!(bytes[0], 0, "24 bits are enough for a test");
            file.extend_from_slice(&bytes[1..]);
        }
    }
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(&data);
    file.extend_from_slice(MARKER);
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Long(1_767_225_600)),
        ("database_type", Value::Text(sort)),
        (
            "description",
            Value::Map(vec![("en", Value::Text("made by a test"))]),
        ),
        ("ip_version", Value::Short(6)),
        ("languages", Value::List(vec![Value::Text("en")])),
        ("node_count", Value::Number(u32::try_from(count).unwrap())),
        ("record_size", Value::Short(24)),
    ]);
    encode(&metadata, &mut file);
    file
}

/// A record of a city database.
pub fn city(country: &'static str, region: &'static str, city: &'static str) -> Value {
    let code = |code| Value::Map(vec![("iso_code", Value::Text(code))]);
    Value::Map(vec![
        (
            "city",
            Value::Map(vec![("names", Value::Map(vec![("en", Value::Text(city))]))]),
        ),
        ("country", code(country)),
        (
            "location",
            Value::Map(vec![
                ("latitude", Value::Double(52.25)),
                ("longitude", Value::Double(-4.5)),
                ("time_zone", Value::Text("Europe/Amsterdam")),
            ]),
        ),
        ("subdivisions", Value::List(vec![code(region)])),
    ])
}

/// A record of an ASN database.
pub fn asn(number: u32, organisation: &'static str) -> Value {
    Value::Map(vec![
        ("autonomous_system_number", Value::Number(number)),
        ("autonomous_system_organization", Value::Text(organisation)),
    ])
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// IPv4 stands in `::/96`.
fn insert(nodes: &mut Vec<[Record; 2]>, prefix: &str, offset: usize) {
    let (address, length) = prefix.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    let (bits, length) = match address.parse().unwrap() {
        IpAddr::V4(address) => (u128::from(u32::from(address)), length + 96),
        IpAddr::V6(address) => (Ipv6Addr::to_bits(address), length),
    };
    let mut node = 0;
    for depth in 0..length {
        let side = usize::from(bits >> (127 - depth) & 1 == 1);
        if depth + 1 == length {
            nodes[node][side] = Record::Data(offset);
            return;
        }
        node = match nodes[node][side] {
            Record::Node(next) => next,
            Record::Nothing => {
                nodes.push([Record::Nothing; 2]);
                nodes[node][side] = Record::Node(nodes.len() - 1);
                nodes.len() - 1
            }
            Record::Data(_) => unreachable!("prefixes of a test do not overlap"),
        };
    }
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => {
            control(2, text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Short(number) => whole(5, &number.to_be_bytes(), out),
        Value::Number(number) => whole(6, &number.to_be_bytes(), out),
        Value::Long(number) => whole(9, &number.to_be_bytes(), out),
        Value::Double(number) => {
            control(3, 8, out);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::List(items) => {
            control(11, items.len(), out);
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Map(members) => {
            control(7, members.len(), out);
            for (name, value) in members {
                encode(&Value::Text(name), out);
                encode(value, out);
            }
        }
    }
}

/// A whole number without its leading zeros.
fn whole(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    control(kind, bytes.len() - zeros, out);
    out.extend_from_slice(&bytes[zeros..]);
}

/// The type, in a second byte if it is above 7, and a size of at most 284.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (low, more) = match size {
        0..=28 => (u8::try_from(size).unwrap(), None),
        _ => (29, Some(u8::try_from(size - 29).unwrap())),
    };
    if kind > 7 {
        out.extend([low, kind - 7]);
    } else {
        out.push(kind << 5 | low);
    }
    out.extend(more);
}
