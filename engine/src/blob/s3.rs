//! Objects in a bucket of any store that speaks Amazon's S3 protocol.
//!
//! Requests are signed with AWS Signature Version 4, retried while a store fails in a way that may pass, and bounded in
//! time. Objects larger than a part are sent in parts; what is read as a file goes to one without a name in the scratch
//! folder, as wide as the object and gone with its last handle.

use std::fs::File;
use std::future::Future;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use minio::s3::builders::ObjectContent;
use minio::s3::client::{Method as HttpMethod, MinioClient, MinioClientBuilder};
use minio::s3::creds::StaticProvider;
use minio::s3::error::{Error as S3Error, NetworkError, S3ServerError, ValidationErr};
use minio::s3::http::BaseUrl;
use minio::s3::minio_error_response::MinioErrorCode;
use minio::s3::types::{BucketName, Region, S3Api as _, ToStream as _};
use tokio_util::io::ReaderStream;

use super::{Blobs, LIST_KEYS, Method, blocking, check_key, io_error, open_scratch};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Bytes of a part; an upload holds one in memory. S3 takes 5 MiB to 5 GiB, and 10,000 parts.
const PART_BYTES: u64 = 16 << 20;
/// Bytes that are read of a file at once.
const READ_BYTES: usize = 256 << 10;
/// How often a request is tried.
const ATTEMPTS: u32 = 5;
/// Pause before the second attempt; each later pause is twice as long, and by chance up to twice that.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the store may take to answer a request, or to go on with an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes a second that sending reaches at least.
const SLOWEST_BYTES_PER_SECOND: u64 = 1 << 20;
/// What stands in no key, so that lists go down to every object; not all stores take an empty delimiter for none.
const NO_DELIMITER: &str = " ";
/// The longest that S3 lets a signed URL be valid.
const URL_MAX_SECONDS: i64 = 7 * 24 * 3600;

/// Where a bucket is, and who reads and writes it.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// Where this server reaches the store: `http://host:9000`, or with https; without a path.
    pub endpoint: String,
    /// Where clients reach it, in signed URLs. When absent, clients send to and read from our own server, which needs
    /// no other address to be open to them.
    pub public_endpoint: Option<String>,
    /// The store's region, which signatures name.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Whether to make the bucket if it is absent; it is private.
    pub creates_bucket: bool,
    /// Whether the bucket is named in the host instead of the path; when absent, as the host is known to want it.
    pub virtual_host: Option<bool>,
    /// Who asks.
    pub access_key: String,
    /// Proves it.
    pub secret_key: Secret,
    /// Proves it of a temporary key.
    pub session_token: Option<Secret>,
    /// Authorities in PEM, trusted beside those that everybody trusts.
    pub ca_file: Option<PathBuf>,
}

/// An object store in a bucket; cheap to clone.
#[derive(Clone)]
pub struct S3Blobs(Arc<Inner>);

struct Inner {
    client: MinioClient,
    /// Signs what clients use.
    public: Option<MinioClient>,
    bucket: BucketName,
    scratch: PathBuf,
    clock: Clock,
}

impl S3Blobs {
    /// Opens the bucket, and makes it if so asked. Files pass through the folder `scratch`. A store that does not answer
    /// is no error: it may be back when it is needed. Errors: `Invalid` for settings that cannot hold, with what to change.
    pub async fn open(settings: &S3Settings, scratch: &Path, clock: Clock) -> Result<S3Blobs> {
        open_scratch(scratch)?;
        let public = settings.public_endpoint.as_deref();
        let bucket = BucketName::new(&settings.bucket)
            .map_err(|error| Error::invalid("S3 bucket", error))?;
        let blobs = S3Blobs(Arc::new(Inner {
            client: client(settings, &settings.endpoint)?,
            public: public
                .map(|endpoint| client(settings, endpoint))
                .transpose()?,
            bucket,
            scratch: scratch.to_owned(),
            clock,
        }));
        blobs.find_bucket(settings.creates_bucket).await?;
        Ok(blobs)
    }

    async fn find_bucket(&self, creates: bool) -> Result<()> {
        let (client, bucket) = (&self.0.client, &self.0.bucket);
        let found = retried(PATIENCE, || async {
            Ok(client.bucket_exists(bucket)?.build().send().await?.exists())
        });
        let made = match found.await {
            Ok(true) => return Ok(()),
            Ok(false) if creates => {
                retried(PATIENCE, || async {
                    client.create_bucket(bucket)?.build().send().await.map(drop)
                })
                .await
            }
            Ok(false) => return Err(self.unusable("it is not there; make it")),
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => Ok(()),
            Err(error) if is_code(&error, &MinioErrorCode::BucketAlreadyOwnedByYou) => Ok(()),
            Err(error) if may_pass(&error) => {
                tracing::warn!(%bucket, error = told(&error), "the object store does not answer; going on");
                Ok(())
            }
            Err(error) => Err(self.unusable(format_args!("{}; let the key in", told(&error)))),
        }
    }

    fn unusable(&self, why: impl std::fmt::Display) -> Error {
        Error::invalid(format_args!("S3 bucket {}", self.0.bucket), why)
    }

    /// Reads the object into a file without a name, whose position is its start.
    async fn download(&self, key: &str) -> Result<File, S3Error> {
        let folder = self.0.scratch.clone();
        let mut object = self.read(key).await?;
        let mut file = blocking_io(move || tempfile::tempfile_in(folder)).await?;
        while let Some(chunk) = object.next().await? {
            file = blocking_io(move || file.write_all(&chunk).map(|()| file)).await?;
        }
        blocking_io(move || file.rewind().map(|()| file)).await
    }

    async fn read(&self, key: &str) -> Result<Reading, S3Error> {
        let call = self.0.client.get_object(&self.0.bucket, key)?.build();
        let response = patiently(PATIENCE, call.send()).await?;
        let (stream, size) = response.into_boxed_stream()?;
        Ok(Reading {
            stream,
            expected: size,
            got: 0,
        })
    }

    async fn send(&self, key: &str, size: u64, content: impl Content) -> Result<()> {
        let patience = PATIENCE + Duration::from_secs(size / SLOWEST_BYTES_PER_SECOND);
        let (client, bucket) = (&self.0.client, &self.0.bucket);
        let sent = retried(patience, || async {
            let content = match size {
                // The crate takes an object for empty only if nobody says so.
                0 => ObjectContent::new_from_stream(futures_util::stream::empty(), None),
                _ => content.open().await.map_err(ValidationErr::from)?,
            };
            let call = client.put_object_content(bucket, key, content)?;
            call.part_size(PART_BYTES).build().send().await.map(drop)
        });
        sent.await.map_err(|error| failed(key, &error))
    }
}

#[async_trait::async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        check_key(key)?;
        self.send(key, bytes.len() as u64, bytes).await
    }

    async fn put_file(&self, key: &str, path: &Path) -> Result<()> {
        check_key(key)?;
        let size = std::fs::metadata(path)
            .map_err(|error| io_error("look at", path, error))?
            .len();
        self.send(key, size, path).await?;
        let path = path.to_owned();
        blocking(move || {
            std::fs::remove_file(&path).map_err(|error| io_error("remove", &path, error))
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Bytes> {
        check_key(key)?;
        let got = retried(Duration::MAX, || async {
            let mut object = self.read(key).await?;
            let mut bytes = BytesMut::new();
            while let Some(chunk) = object.next().await? {
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes.freeze())
        });
        got.await.map_err(|error| failed(key, &error))
    }

    async fn open(&self, key: &str) -> Result<File> {
        check_key(key)?;
        let opened = retried(Duration::MAX, || self.download(key));
        opened.await.map_err(|error| failed(key, &error))
    }

    async fn size(&self, key: &str) -> Result<Option<u64>> {
        check_key(key)?;
        let (client, bucket) = (&self.0.client, &self.0.bucket);
        let found = retried(PATIENCE, || async {
            let found = client.stat_object(bucket, key)?.build().send().await?;
            Ok(found.size()?)
        });
        match found.await {
            Ok(size) => Ok(Some(size)),
            Err(error) if is_code(&error, &MinioErrorCode::NoSuchKey) => Ok(None),
            Err(error) => Err(failed(key, &error)),
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        check_key(key)?;
        let (client, bucket) = (&self.0.client, &self.0.bucket);
        let deleted = retried(PATIENCE, || async {
            let call = client.delete_object(bucket, key)?.build();
            call.send().await.map(drop)
        });
        match deleted.await {
            Err(error) if is_code(&error, &MinioErrorCode::NoSuchKey) => Ok(()),
            deleted => deleted.map_err(|error| failed(key, &error)),
        }
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<String>> {
        let limit = limit.min(LIST_KEYS);
        let (client, bucket) = (&self.0.client, &self.0.bucket);
        let listed = retried(Duration::MAX, || async {
            let call = client
                .list_objects(bucket)?
                .prefix(prefix.to_owned())
                .delimiter(NO_DELIMITER.to_owned());
            let mut pages = call.build().to_stream().await;
            let mut keys = Vec::new();
            while keys.len() < limit
                && let Some(page) = patiently(PATIENCE, async { Ok(pages.next().await) }).await?
            {
                keys.extend(page?.contents.into_iter().map(|entry| entry.name));
            }
            Ok(keys)
        });
        let mut keys = listed.await.map_err(|error| failed(prefix, &error))?;
        keys.sort_unstable();
        keys.truncate(limit);
        Ok(keys)
    }

    async fn presign(&self, method: Method, key: &str, expires_us: i64) -> Result<Option<String>> {
        check_key(key)?;
        let Some(client) = &self.0.public else {
            return Ok(None);
        };
        let left_us = expires_us - self.0.clock.now_us();
        let seconds = (left_us + 999_999).div_euclid(1_000_000);
        let method = match method {
            Method::Get => HttpMethod::GET,
            Method::Put => HttpMethod::PUT,
        };
        let signed = async {
            let call = client.get_presigned_object_url(&self.0.bucket, key, method)?;
            let seconds = seconds.clamp(1, URL_MAX_SECONDS) as u32;
            call.expiry_seconds(seconds).build().send().await
        };
        let signed = signed.await.map_err(|error| failed(key, &error))?;
        Ok(Some(signed.url))
    }

    fn scratch(&self) -> &Path {
        &self.0.scratch
    }
}

/// An object that is arriving.
struct Reading {
    stream: BoxStream<'static, io::Result<Bytes>>,
    expected: u64,
    got: u64,
}

impl Reading {
    /// The next bytes; `None` when it is whole.
    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        let next = patiently(PATIENCE, async { Ok(self.stream.next().await) }).await?;
        let chunk = next.transpose().map_err(ValidationErr::from)?;
        self.got += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        match (&chunk, self.expected, self.got) {
            (None, expected, got) if got != expected => {
                Err(ValidationErr::InsufficientData { expected, got }.into())
            }
            _ => Ok(chunk),
        }
    }
}

/// What is sent: opened anew for each attempt.
trait Content {
    async fn open(&self) -> io::Result<ObjectContent>;
}

impl Content for Bytes {
    async fn open(&self) -> io::Result<ObjectContent> {
        Ok(ObjectContent::from(self.clone()))
    }
}

impl Content for &Path {
    async fn open(&self) -> io::Result<ObjectContent> {
        let file = tokio::fs::File::open(self).await?;
        let size = file.metadata().await?.len();
        let stream = ReaderStream::with_capacity(file, READ_BYTES);
        Ok(ObjectContent::new_from_stream(stream, Some(size)))
    }
}

fn client(settings: &S3Settings, endpoint: &str) -> Result<MinioClient> {
    let what = format!("S3 endpoint {endpoint}");
    let invalid = |error: &dyn std::fmt::Display| Error::invalid(&what, error);
    let mut base: BaseUrl = endpoint.parse().map_err(|error: ValidationErr| {
        Error::invalid(
            &what,
            format_args!("{error}; give it as https://host:port, without a path"),
        )
    })?;
    base.region =
        Region::new(&settings.region).map_err(|error| Error::invalid("S3 region", error))?;
    base.virtual_style = settings.virtual_host.unwrap_or(base.virtual_style);
    let token = settings.session_token.as_ref().map(Secret::expose);
    let keys = StaticProvider::new(&settings.access_key, settings.secret_key.expose(), token);
    MinioClientBuilder::new(base)
        .provider(Some(keys))
        .ssl_cert_file(settings.ca_file.as_deref())
        .app_info(Some(("hitline".into(), env!("CARGO_PKG_VERSION").into())))
        .build()
        .map_err(|error| invalid(&told(&error)))
}

/// Tries until it succeeds, fails in a way that does not pass, or failed `ATTEMPTS` times.
async fn retried<T, F>(patience: Duration, mut attempt: impl FnMut() -> F) -> Result<T, S3Error>
where
    F: Future<Output = Result<T, S3Error>>,
{
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match patiently(patience, attempt()).await {
            Err(error) if may_pass(&error) => {
                tracing::debug!(
                    error = told(&error),
                    "the object store failed; trying again"
                );
                tokio::time::sleep(pause.mul_f64(1.0 + rand::random::<f64>())).await;
                pause *= 2;
            }
            ended => return ended,
        }
    }
    patiently(patience, attempt()).await
}

/// Fails when it takes longer.
async fn patiently<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, S3Error>>,
) -> Result<T, S3Error> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => done,
        Err(_) => {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the object store is too slow");
            Err(ValidationErr::from(late).into())
        }
    }
}

async fn blocking_io<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, S3Error> {
    let done = blocking(move || Ok(work())).await;
    let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
    Ok(done.map_err(ValidationErr::from)?)
}

/// Whether another attempt may go better.
fn may_pass(error: &S3Error) -> bool {
    match error {
        S3Error::Network(NetworkError::ServerError(status))
        | S3Error::S3Server(S3ServerError::HttpError(status, _))
        | S3Error::S3Server(S3ServerError::InvalidServerResponse {
            http_status_code: status,
            ..
        }) => *status >= 500 || *status == 429,
        S3Error::S3Server(S3ServerError::S3Error(answer)) => {
            matches!(answer.code(), MinioErrorCode::OtherError(code) if matches!(
                code.as_str(),
                "slowdown" | "internalerror" | "serviceunavailable" | "requesttimeout" | "incompletebody"
            ))
        }
        S3Error::Network(NetworkError::ReqwestError(_)) => true,
        S3Error::Validation(
            ValidationErr::HttpError(_)
            | ValidationErr::IOError(_)
            | ValidationErr::InsufficientData { .. },
        ) => true,
        S3Error::DriveIo(_) | S3Error::Validation(_) => false,
    }
}

fn is_code(error: &S3Error, code: &MinioErrorCode) -> bool {
    matches!(error, S3Error::S3Server(S3ServerError::S3Error(answer)) if answer.code() == *code)
}

fn failed(key: &str, error: &S3Error) -> Error {
    match is_code(error, &MinioErrorCode::NoSuchKey) {
        true => Error::not_found(format_args!("blob {key}")),
        false => Error::blob(key, told(error)),
    }
}

/// An error with its causes, in one line.
fn told(error: &S3Error) -> String {
    if let S3Error::S3Server(S3ServerError::S3Error(answer)) = error {
        let message = answer.message().as_deref().unwrap_or_default();
        return format!("{:?}: {message}", answer.code());
    }
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
