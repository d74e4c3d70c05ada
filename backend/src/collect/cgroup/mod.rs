//! stub
use std::collections::BTreeMap;
use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::{ContainerKey, ContainerStat};
use crate::sys::root::Root;
pub struct CgroupReader;
impl CgroupReader { pub fn new(_: Root) -> Self { Self }
 pub fn read(&mut self, _: &BTreeMap<ContainerKey, u32>) -> (Table<ContainerKey, ContainerStat>, Vec<String>) { Default::default() } }
