//! placeholder
/// p
pub fn package(_s: &str, _id: &str, _v: &str) -> Option<&'static str> {
    None
}
