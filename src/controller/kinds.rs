//! What the controllers need of every kind: its objects and its queue. All of it is generated from the one list of
//! kinds (`api::kind`).

use super::Source;
use crate::api::kind::with_kinds;
use crate::api::{ClusterConsoleToken, ConsoleToken};
use crate::cluster::object::Managed;
use crate::cluster::watch;
use crate::plan::identity::{AnyToken, ObjectName, TokenKind, TokenRef};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

/// The queue of a kind's controller.
pub type Queue<K> = UnboundedSender<ObjectRef<DeserializeGuard<K>>>;

/// A kind from that list.
pub trait Listed: Managed {
    /// Its objects.
    fn store(stores: &Stores) -> &Store<DeserializeGuard<Self>>;
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
                pub $field: Store<DeserializeGuard<crate::api::$kind>>,
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
        }

        impl Filled {
            /// The tokens of all kinds.
            pub fn all(&self) -> Vec<CancellationToken> {
                vec![$(self.$field.clone()),+]
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
                    $($field: Source { store: self.$field.clone(), queue: $field.1 },)+
                    secrets: secrets.1,
                };
                (Queues { $($field: $field.0,)+ secrets: secrets.0 }, sources)
            }
        }

        $(impl Listed for crate::api::$kind {
            fn store(stores: &Stores) -> &Store<DeserializeGuard<Self>> {
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
    /// Whether the stores of console tokens and of keys are filled; before that, absence from a store means nothing.
    pub fn filled(&self) -> bool {
        let filled = &self.filled;
        [&filled.tokens, &filled.cluster_tokens, &filled.keys].iter().all(|it| it.is_cancelled())
    }

    /// That console token, if it is in the store and can be decoded.
    pub fn token(&self, token: &TokenRef) -> Option<AnyToken> {
        let (namespace, name) = (token.namespace.as_deref(), &token.name);
        match token.kind {
            TokenKind::ConsoleToken => {
                watch::get(&self.tokens, &watch::named(namespace, name)).map(AnyToken::from)
            }
            TokenKind::ClusterConsoleToken => {
                watch::get(&self.cluster_tokens, &watch::named(namespace, name)).map(AnyToken::from)
            }
        }
    }

    /// The console tokens of both kinds that satisfy a condition.
    pub fn all_tokens(&self, condition: impl Fn(&AnyToken) -> bool) -> Vec<AnyToken> {
        let namespaced = watch::all::<ConsoleToken>(&self.tokens, |_| true).into_iter().map(AnyToken::from);
        let cluster = watch::all::<ClusterConsoleToken>(&self.cluster_tokens, |_| true);
        namespaced.chain(cluster.into_iter().map(AnyToken::from)).filter(condition).collect()
    }

    /// Visits the objects made with that console token.
    pub fn each_made_with<K: Listed>(&self, token: &TokenRef, mut visit: impl FnMut(&K)) {
        for guard in K::store(self).state() {
            if let Ok(object) = &guard.0
                && object.is_made_with(token)
            {
                visit(object);
            }
        }
    }

    /// Whether any object is made with that console token.
    pub fn has_work_with<K: Listed>(&self, token: &TokenRef) -> bool {
        K::store(self).state().iter().any(|guard| guard.0.as_ref().is_ok_and(|it| it.is_made_with(token)))
    }
}

impl Queues {
    /// Enqueues an object. Between two leadership periods there is no receiver; the next period starts with every
    /// object.
    pub fn enqueue<K: Listed>(&self, object: ObjectRef<DeserializeGuard<K>>) {
        let _ = K::queue(self).send(object);
    }

    /// Enqueues a console token.
    pub fn enqueue_token(&self, token: &TokenRef) {
        let (namespace, name) = (token.namespace.as_deref(), &token.name);
        match token.kind {
            TokenKind::ConsoleToken => self.enqueue::<ConsoleToken>(watch::named(namespace, name)),
            TokenKind::ClusterConsoleToken => {
                self.enqueue::<ClusterConsoleToken>(watch::named(namespace, name));
            }
        }
    }

    /// Enqueues a Secret that no ConsoleToken may need any more.
    pub fn enqueue_secret(&self, secret: ObjectName) {
        let _ = self.secrets.send(secret);
    }
}
