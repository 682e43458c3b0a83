//! A fake AWS Systems Manager (and the few IAM calls of the role check) that speaks the real wire protocol over HTTP.
//!
//! Limits, error codes, pagination and expiry are those of botocore 1.44.5 (ssm 2014-11-06), and of
//! the agent's source. Both sides are here: the API that cardsmith calls, and `RegisterManagedInstance`, which
//! the agent on a card calls without credentials. Faults are programmed per operation. A card in QEMU reaches it at
//! `10.0.2.2`, which user networking maps to the host's loopback: [`FakeSsm::url_from_qemu`].

mod api;
mod http;
mod iam;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

pub use iam::FakeRole;

/// The region that tests work in.
pub const REGION: &str = "eu-west-1";

/// What goes wrong with one call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// 400 ThrottlingException; nothing is done.
    Throttle,
    /// The connection is closed before anything is done.
    DropRequest,
    /// It is done, and the connection is closed instead of an answer.
    LoseAnswer,
    /// It is done, and only half of the answer arrives.
    HalfAnswer,
    /// It is done, and the whole answer arrives with something behind it that is no JSON.
    BrokenAnswer,
    /// It is done, and the answer comes so much later.
    Slow(Duration),
    /// 500 InternalServerError after it was done.
    InternalErrorButDone,
    /// 500 InternalServerError, nothing done.
    InternalError,
    /// 400 with this code and message; nothing is done.
    Refuse(&'static str, &'static str),
}

/// An activation as the fake keeps it, its code too.
#[derive(Debug, Clone)]
pub struct FakeActivation {
    pub id: String,
    pub code: String,
    pub region: String,
    pub description: String,
    pub name: String,
    pub role: String,
    pub limit: i64,
    pub registrations: i64,
    pub created: f64,
    pub expires: f64,
    pub tags: BTreeMap<String, String>,
    pub deleted: bool,
}

/// A managed node.
#[derive(Debug, Clone)]
pub struct FakeNode {
    pub id: String,
    pub activation_id: String,
    pub region: String,
    pub name: String,
    pub role: String,
    pub fingerprint: String,
    pub public_key: String,
    /// `Online`, `ConnectionLost` or `Inactive`.
    pub ping: String,
    pub agent_version: String,
    pub registered: f64,
    pub tags: BTreeMap<String, String>,
    pub deregistered: bool,
}

/// One call that arrived.
#[derive(Debug, Clone)]
pub struct Call {
    /// `CreateActivation`, `GetRole`, …
    pub operation: String,
    /// The body as JSON; for IAM the form's fields.
    pub body: Value,
    /// The HTTP status of the answer; 0 where there was none.
    pub status: u16,
}

struct Programmed {
    operation: String,
    skip: usize,
    times: usize,
    fault: Fault,
}

/// Everything the fake knows.
#[derive(Default)]
pub struct State {
    pub activations: Vec<FakeActivation>,
    pub nodes: Vec<FakeNode>,
    pub calls: Vec<Call>,
    /// IAM's roles, by name.
    pub roles: BTreeMap<String, FakeRole>,
    /// Parameter Store, by name: whether it is a SecureString, and the value.
    pub parameters: BTreeMap<String, (bool, String)>,
    /// `standard` or `advanced`.
    pub tier: String,
    /// The most entries on one page, where tests want pages smaller than AWS's.
    pub page: Option<usize>,
    faults: Vec<Programmed>,
    ahead: f64,
    serial: u64,
}

impl State {
    /// The fake's clock, in seconds since 1970.
    pub fn now(&self) -> f64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() + self.ahead
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn fault_of(&mut self, operation: &str) -> Option<Fault> {
        for programmed in &mut self.faults {
            if programmed.operation != operation || programmed.times == 0 {
                continue;
            }
            if programmed.skip > 0 {
                programmed.skip -= 1;
                continue;
            }
            programmed.times -= 1;
            return Some(programmed.fault.clone());
        }
        None
    }
}

/// The fake service; it stops when this is dropped.
pub struct FakeSsm {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

impl FakeSsm {
    /// Starts it on a free port of the loopback.
    pub fn start() -> FakeSsm {
        FakeSsm::start_on("127.0.0.1:0")
    }

    /// Starts it on this address.
    pub fn start_on(address: &str) -> FakeSsm {
        let listener = TcpListener::bind(address).expect("bind the fake SSM");
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { tier: "standard".to_owned(), ..State::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        FakeSsm { address, state, stop }
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same for a guest with QEMU's user networking; put it into the agent's `Ssm.Endpoint`.
    pub fn url_from_qemu(&self) -> String {
        format!("http://10.0.2.2:{}", self.address.port())
    }

    /// The environment in which AWS tools talk to the fake and to nothing else.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let text = str::to_owned;
        vec![
            ("AWS_ENDPOINT_URL_SSM", self.url()),
            ("AWS_ENDPOINT_URL_IAM", self.url()),
            ("AWS_ACCESS_KEY_ID", text("AKIDFAKE")),
            ("AWS_SECRET_ACCESS_KEY", text("fake-secret-access-key")),
            ("AWS_REGION", text(REGION)),
            ("AWS_EC2_METADATA_DISABLED", text("true")),
            ("AWS_CONFIG_FILE", text("/dev/null")),
            ("AWS_SHARED_CREDENTIALS_FILE", text("/dev/null")),
        ]
    }

    /// Everything it knows, to look at and to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The next call of `operation` goes wrong.
    pub fn fail_next(&self, operation: &str, fault: Fault) {
        self.fail(operation, 0, 1, fault);
    }

    /// After `skip` calls of `operation`, the next `times` go wrong. Programs of one operation run one after the other.
    pub fn fail(&self, operation: &str, skip: usize, times: usize, fault: Fault) {
        self.state().faults.push(Programmed { operation: operation.to_owned(), skip, times, fault });
    }

    /// Forgets faults that did not happen yet.
    pub fn no_more_faults(&self) {
        self.state().faults.clear();
    }

    /// Lets its clock jump ahead.
    pub fn advance(&self, time: Duration) {
        self.state().ahead += time.as_secs_f64();
    }

    /// Makes an activation by hand; returns its id and code.
    pub fn issue(&self, name: &str, description: &str) -> (String, String) {
        let mut state = self.state();
        let activation = api::new_activation(&mut state, REGION, name, description);
        let made = (activation.id.clone(), activation.code.clone());
        state.activations.push(activation);
        made
    }

    /// A card boots and its agent registers: what the agent would send, without HTTP. Returns the node's id.
    pub fn register(&self, activation_id: &str, code: &str) -> Result<String, String> {
        let mut state = self.state();
        let fingerprint = format!("fingerprint-{}", state.next_serial());
        let body = serde_json::json!({
            "ActivationId": activation_id, "ActivationCode": code, "Fingerprint": fingerprint,
            "PublicKey": "QUJD", "PublicKeyType": "Rsa",
        });
        match api::register(&mut state, &body) {
            Ok(answer) => Ok(answer["InstanceId"].as_str().unwrap().to_owned()),
            Err(refusal) => Err(refusal.code.to_owned()),
        }
    }

    /// Activations that are not deleted.
    pub fn live(&self) -> Vec<FakeActivation> {
        self.state().activations.iter().filter(|activation| !activation.deleted).cloned().collect()
    }

    /// Nodes that are registered.
    pub fn nodes(&self) -> Vec<FakeNode> {
        self.state().nodes.iter().filter(|node| !node.deregistered).cloned().collect()
    }

    /// How often `operation` was called.
    pub fn count(&self, operation: &str) -> usize {
        self.state().calls.iter().filter(|call| call.operation == operation).count()
    }

    /// Every code that it ever gave out, to search for in what must not hold one.
    pub fn codes(&self) -> Vec<String> {
        self.state().activations.iter().map(|activation| activation.code.clone()).collect()
    }
}

impl Drop for FakeSsm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

fn serve(stream: TcpStream, shared: &Mutex<State>) {
    let Ok(mut connection) = http::Connection::new(stream) else { return };
    while let Some(request) = connection.next_request() {
        let (operation, body) = match request.header("x-amz-target") {
            Some(target) => {
                let operation = target.strip_prefix("AmazonSSM.").unwrap_or(target).to_owned();
                (operation, serde_json::from_slice(&request.body).unwrap_or(Value::Null))
            }
            None => iam::operation(&request.body),
        };
        let is_iam = request.header("x-amz-target").is_none();

        let mut state = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fault = state.fault_of(&operation);
        let answer = match &fault {
            Some(Fault::DropRequest) => None,
            Some(Fault::Throttle) => Some(api::refusal("ThrottlingException", "Rate exceeded", is_iam)),
            Some(Fault::InternalError) => Some(api::internal_error(is_iam)),
            Some(Fault::Refuse(code, message)) => Some(api::refusal(code, message, is_iam)),
            _ if is_iam && !iam::is_signed(&request) => Some(api::refusal("MissingAuthenticationToken", "", true)),
            _ if is_iam => Some(iam::answer(&state, &operation, &body)),
            _ => Some(api::answer(&mut state, &operation, &body, &request)),
        };
        let answer =
            if matches!(fault, Some(Fault::InternalErrorButDone)) { Some(api::internal_error(is_iam)) } else { answer };
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        state.calls.push(Call { operation, body, status });
        drop(state);

        let Some(mut answer) = answer else { return };
        match fault {
            Some(Fault::LoseAnswer) => return,
            Some(Fault::BrokenAnswer) => answer.body.push_str("}] and so on"),
            Some(Fault::HalfAnswer) => return connection.send_half(&answer),
            Some(Fault::Slow(time)) => std::thread::sleep(time),
            _ => {}
        }
        if connection.send(&answer).is_err() {
            return;
        }
    }
}

/// The fake as a process of its own: `cargo test serve_until_killed -- --ignored --nocapture`.
#[test]
#[ignore = "a service to try things out with, not a test"]
fn serve_until_killed() {
    let fake = FakeSsm::start_on(&std::env::var("FAKE_SSM").unwrap_or_else(|_| "127.0.0.1:4583".to_owned()));
    for (key, value) in fake.env() {
        println!("export {key}={value}");
    }
    loop {
        std::thread::park();
    }
}
