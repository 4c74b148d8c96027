//! A Confluent-compatible schema registry: schemas by id.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use service::secret::without_credentials;
use service::{settings, tls};
use thiserror::Error;

use crate::error::KafkaError;

/// How long a request to the registry may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Media type of the registry's API.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Why the registry did not answer.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// It cannot be reached, or it failed: retry later.
    #[error("schema registry at `{address}` is not available: {reason}")]
    Unavailable {
        /// Its address without credentials.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// It does not know the schema of that id.
    #[error("schema registry at `{address}` knows no schema of id {id}")]
    UnknownId {
        /// Its address without credentials.
        address: String,
        /// The id.
        id: u32,
    },
    /// It refuses the schema, e.g. because the schema is not compatible with an earlier one.
    #[error("schema registry at `{address}` refuses the schema of `{subject}`: {reason}")]
    Refused {
        /// Its address without credentials.
        address: String,
        /// The subject under which the schema was to be registered.
        subject: String,
        /// The registry's message.
        reason: String,
    },
}

impl From<RegistryError> for KafkaError {
    fn from(error: RegistryError) -> KafkaError {
        match error {
            RegistryError::Refused { .. } => KafkaError::Halt(error.to_string()),
            RegistryError::Unavailable { .. } | RegistryError::UnknownId { .. } => KafkaError::Retry(error.to_string()),
        }
    }
}

/// A Confluent-compatible schema registry. Clones share connections.
#[derive(Debug, Clone)]
pub struct Registry {
    address: String,
    shown: String,
    client: Client,
}

impl Registry {
    /// The registry that the environment names, if any.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Halt`] when the file with its address cannot be read.
    pub fn from_settings() -> Result<Option<Registry>, KafkaError> {
        let address = settings::read_secret(&settings::SCHEMA_REGISTRY_URL);
        let address = address.map_err(|error| KafkaError::Halt(error.to_string()))?;
        address.map(|address| Registry::new(address.expose())).transpose()
    }

    /// The registry at that address. Connects with the first request.
    pub fn new(address: &str) -> Result<Registry, KafkaError> {
        tls::install();
        let client = Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).build();
        Ok(Registry {
            address: address.trim_end_matches('/').to_owned(),
            shown: without_credentials(address),
            client: client.map_err(|error| KafkaError::Halt(format!("cannot prepare an HTTP client: {error}")))?,
        })
    }

    /// Registers a schema under a subject, or finds it there; returns its id. Idempotent.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Unavailable`] or [`RegistryError::Refused`].
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let url = format!("{}/subjects/{subject}/versions", self.address);
        let body = json!({ "schema": schema, "schemaType": "AVRO" }).to_string();
        let request = self.client.post(url).header("content-type", CONTENT_TYPE).body(body);
        let response = request.send().await.map_err(|error| self.unavailable(error))?;
        if matches!(response.status(), StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY) {
            let reason = self.json(response).await?["message"].as_str().unwrap_or("no reason given").to_owned();
            return Err(RegistryError::Refused { address: self.shown.clone(), subject: subject.to_owned(), reason });
        }
        let answer = self.json(self.succeeded(response)?).await?;
        self.id(&answer)
    }

    /// The schema of that id. A registry never changes the schema behind an id.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Unavailable`] or [`RegistryError::UnknownId`].
    pub async fn schema(&self, id: u32) -> Result<String, RegistryError> {
        let request = self.client.get(format!("{}/schemas/ids/{id}", self.address)).header("accept", CONTENT_TYPE);
        let response = request.send().await.map_err(|error| self.unavailable(error))?;
        if response.status() == StatusCode::NOT_FOUND {
            return Err(RegistryError::UnknownId { address: self.shown.clone(), id });
        }
        let answer = self.json(self.succeeded(response)?).await?;
        let schema = answer["schema"].as_str().map(str::to_owned);
        schema.ok_or_else(|| self.unexpected("its answer has no `schema`"))
    }

    fn id(&self, answer: &Value) -> Result<u32, RegistryError> {
        let id = answer["id"].as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| self.unexpected("its answer has no `id`"))
    }

    fn succeeded(&self, response: Response) -> Result<Response, RegistryError> {
        let status = response.status();
        if status.is_success() { Ok(response) } else { Err(self.unexpected(&format!("it answered {status}"))) }
    }

    async fn json(&self, response: Response) -> Result<Value, RegistryError> {
        let body = response.bytes().await.map_err(|error| self.unavailable(error))?;
        serde_json::from_slice(&body).map_err(|_| self.unexpected("its answer is not JSON"))
    }

    fn unavailable(&self, error: reqwest::Error) -> RegistryError {
        let error = anyhow::Error::new(error.without_url());
        self.unexpected(&service::telemetry::one_line(&error))
    }

    fn unexpected(&self, reason: &str) -> RegistryError {
        RegistryError::Unavailable { address: self.shown.clone(), reason: reason.to_owned() }
    }
}
