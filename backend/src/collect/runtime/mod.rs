//! stub
use glasshull_shared::delta::Table;
use glasshull_shared::domain::container::{Container, ContainerKey};
use glasshull_shared::domain::process::{Process, ProcessKey};
use crate::sys::root::Root;
pub(crate) struct RuntimeReader;
impl RuntimeReader { pub(crate) fn new(_: Root) -> Self { Self }
 pub(crate) fn read(&mut self, _: &Table<ProcessKey, Process>) -> Table<ContainerKey, Container> { Table::new() } }
