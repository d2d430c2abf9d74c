//! What the controllers need of every kind: its objects and its queue. All of it is generated from the one list of
//! kinds (`api::kind`).

use super::Source;
use crate::api::kind::with_kinds;
use crate::api::{ClusterConsoleToken, ConsoleToken};
use crate::cluster::cache::{self, Cache, Cached};
use crate::cluster::object::Managed;
use crate::plan::identity::{AnyToken, ObjectName, TokenKind, TokenRef};
use crate::runtime::traces::Traces;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

/// The queue of a kind's controller.
pub type Queue<K> = UnboundedSender<ObjectRef<Cached<K>>>;

/// A kind from that list.
pub trait Listed: Managed {
    /// Its objects.
    fn cache(stores: &Stores) -> &Cache<Self>;
    /// The queue of its controller.
    fn queue(queues: &Queues) -> &Queue<Self>;
}

macro_rules! registry {
    ($($field:ident: $kind:ident,)+) => {
        /// The objects of every kind.
        #[derive(Clone)]
        pub struct Stores {
            $(
                #[doc = concat!("Every `", stringify!($kind), "`.")]
                pub $field: Cache<crate::api::$kind>,
            )+
            /// Whether the stores are filled.
            pub filled: Filled,
        }

        /// One token per kind, cancelled when the store of the kind is filled.
        #[derive(Clone)]
        pub struct Filled {
            $(
                #[doc = concat!("That of every `", stringify!($kind), "`.")]
                pub $field: CancellationToken,
            )+
            /// That of the Secrets' versions. It is cancelled as well where they are not known, and Secrets are read by name: where
            /// Secrets are not watched, their list is refused, or it takes too long.
            pub secrets: CancellationToken,
        }

        impl Filled {
            /// The tokens of all kinds.
            pub fn all(&self) -> Vec<CancellationToken> {
                vec![$(self.$field.clone(),)+ self.secrets.clone()]
            }
        }

        /// The queues of all controllers.
        #[derive(Clone)]
        pub struct Queues {
            $(
                #[doc = concat!("The queue of every `", stringify!($kind), "`.")]
                pub $field: Queue<crate::api::$kind>,
            )+
            /// Secrets that have our finalizer and that no ConsoleToken may need any more.
            pub secrets: UnboundedSender<ObjectName>,
            /// Traces of what is enqueued.
            pub traces: Traces,
        }

        /// Inputs of the controllers during one leadership period.
        pub struct Sources {
            $(
                #[doc = concat!("The source of every `", stringify!($kind), "`.")]
                pub $field: Source<crate::api::$kind>,
            )+
            /// Secrets that have our finalizer and that no ConsoleToken may need any more.
            pub secrets: UnboundedReceiver<ObjectName>,
        }

        impl Stores {
            /// New queues for these objects: senders and receivers.
            pub fn queues(&self) -> (Queues, Sources) {
                $(let $field = unbounded_channel();)+
                let secrets = unbounded_channel();
                let sources = Sources {
                    $($field: Source { store: self.$field.store().clone(), queue: $field.1 },)+
                    secrets: secrets.1,
                };
                (Queues { $($field: $field.0,)+ secrets: secrets.0, traces: Traces::default() }, sources)
            }
        }

        $(impl Listed for crate::api::$kind {
            fn cache(stores: &Stores) -> &Cache<Self> {
                &stores.$field
            }

            fn queue(queues: &Queues) -> &Queue<Self> {
                &queues.$field
            }
        })+
    };
}
with_kinds!([registry]);

impl Stores {
    /// Whether the stores of console tokens and of keys are filled, and the list of the Secrets' versions has come or will not;
    /// before that, absence from a store means nothing, and each pass would read its Secret.
    pub fn filled(&self) -> bool {
        let filled = &self.filled;
        [&filled.tokens, &filled.cluster_tokens, &filled.keys, &filled.secrets]
            .iter()
            .all(|it| it.is_cancelled())
    }

    /// That console token, if it is in the store and can be decoded.
    pub fn token(&self, token: &TokenRef) -> Option<AnyToken> {
        let (namespace, name) = (token.namespace.as_deref(), &token.name);
        match token.kind {
            TokenKind::ConsoleToken => self.tokens.get(&cache::named(namespace, name)).map(AnyToken::from),
            TokenKind::ClusterConsoleToken => {
                self.cluster_tokens.get(&cache::named(namespace, name)).map(AnyToken::from)
            }
        }
    }

    /// The console tokens of both kinds that satisfy a condition.
    pub fn all_tokens(&self, condition: impl Fn(&AnyToken) -> bool) -> Vec<AnyToken> {
        let namespaced = self.tokens.all(|_| true).into_iter().map(AnyToken::from);
        let cluster = self.cluster_tokens.all(|_| true);
        namespaced.chain(cluster.into_iter().map(AnyToken::from)).filter(condition).collect()
    }

    /// Whether any object is made with that console token.
    pub fn has_work_with<K: Listed>(&self, token: &TokenRef) -> bool {
        K::cache(self).has_made_with(token)
    }
}

impl Queues {
    /// Enqueues an object. Between two leadership periods there is no receiver; the next period starts with every
    /// object.
    pub fn enqueue<K: Listed>(&self, object: ObjectRef<Cached<K>>) {
        let queue = K::queue(self);
        // Without a controller, no pass would end the trace.
        if !queue.is_closed() {
            self.traces.begin(K::KIND, || ObjectName {
                namespace: object.namespace.clone().unwrap_or_default(),
                name: object.name.clone(),
            });
        }
        let _ = queue.send(object);
    }

    /// Enqueues a console token.
    pub fn enqueue_token(&self, token: &TokenRef) {
        let (namespace, name) = (token.namespace.as_deref(), &token.name);
        match token.kind {
            TokenKind::ConsoleToken => self.enqueue::<ConsoleToken>(cache::named(namespace, name)),
            TokenKind::ClusterConsoleToken => {
                self.enqueue::<ClusterConsoleToken>(cache::named(namespace, name));
            }
        }
    }

    /// Enqueues a Secret that no ConsoleToken may need any more.
    pub fn enqueue_secret(&self, secret: ObjectName) {
        let _ = self.secrets.send(secret);
    }
}
