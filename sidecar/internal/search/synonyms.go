package search

// synonyms are phrases that a buyer means the same by, one meaning a line, in English, German, French, Italian and
// Spanish. A phrase stands here in all its forms: nothing is derived. What is only akin does not belong here (MySQL and
// MariaDB, Redis and Valkey), nor does a phrase that means something else in another of the languages (Spanish "red").
const synonyms = `
vm | vms | virtual machine | virtual machines | virtual server | virtual servers | cloud server | cloud servers | compute instance | compute instances | virtual private server | vps | virtuelle maschine | virtuelle maschinen | virtueller server | virtuelle server | machine virtuelle | machines virtuelles | serveur virtuel | serveurs virtuels | serveur cloud | macchina virtuale | macchine virtuali | server virtuale | server virtuali | máquina virtual | máquinas virtuales | servidor virtual | servidores virtuales
server | servers | serveur | serveurs | servidor | servidores
compute | computing | rechenleistung | calcul | calcolo | cómputo
bare metal | dedicated server | dedicated servers | root server | dedizierter server | dedizierte server | serveur dédié | serveurs dédiés | server dedicato | server dedicati | servidor dedicado | servidores dedicados
db | dbs | dbms | database | databases | datenbank | datenbanken | base de données | bases de données | base dati | base di dati | banca dati | basi di dati | banche dati | base de datos | bases de datos
postgres | postgresql | postgre | pgsql | pg
mongo | mongodb
elastic | elasticsearch
k8s | kubernetes
container | containers | conteneur | conteneurs | contenitore | contenitori | contenedor | contenedores
storage | speicher | speicherplatz | stockage | archiviazione | almacenamiento
s3 | object storage | object store | objektspeicher | stockage objet | stockage d'objets | storage a oggetti | archiviazione a oggetti | almacenamiento de objetos
block storage | block volume | block volumes | blockspeicher | stockage bloc | stockage par blocs | storage a blocchi | archiviazione a blocchi | almacenamiento en bloque | almacenamiento en bloques
file storage | file share | dateispeicher | stockage de fichiers | archiviazione di file | almacenamiento de archivos
gpu | gpus | accelerator | accelerators | grafikkarte | grafikkarten | carte graphique | cartes graphiques | scheda grafica | schede grafiche | tarjeta gráfica | tarjetas gráficas
ram | memory | arbeitsspeicher | hauptspeicher | mémoire vive | memoria ram
ai | artificial intelligence | ki | künstliche intelligenz | ia | intelligence artificielle | intelligenza artificiale | inteligencia artificial
ml | machine learning | maschinelles lernen | apprentissage automatique | apprendimento automatico | aprendizaje automático
network | networks | networking | netzwerk | netzwerke | réseau | réseaux | rete | reti | redes
load balancer | load balancers | load balancing | loadbalancer | lb | lastverteiler | lastverteilung | lastausgleich | lastenausgleich | répartiteur de charge | répartition de charge | équilibreur de charge | bilanciatore di carico | bilanciamento del carico | balanceador de carga | equilibrador de carga
vpn | virtual private network | réseau privé virtuel | rete privata virtuale | red privada virtual
cdn | content delivery network
domain | domains | domäne | domänen | domaine | domaines | dominio | domini | dominios
hosting | webhosting | web hosting | hébergement | hébergement web | alojamiento | alojamiento web
mail | email | emails | e mail | e mails | courriel | courriels | posta elettronica | correo electrónico
backup | backups | datensicherung | datensicherungen | sicherungskopie | sauvegarde | sauvegardes | copia di sicurezza | copia di backup | copie di sicurezza | copia de seguridad | copias de seguridad | respaldo
archive | archives | archiv | archivio | archivo
security | sicherheit | sécurité | sicurezza | seguridad
firewall | firewalls | pare feu | cortafuegos
encryption | encrypted | verschlüsselung | verschlüsselt | chiffrement | chiffré | crittografia | cifratura | cifrado
kms | key management | schlüsselverwaltung | gestion des clés | gestione delle chiavi | gestion de claves
observability | monitoring | überwachung | beobachtbarkeit | surveillance | supervision | observabilité | monitoraggio | osservabilita | monitorización | monitoreo | observabilidad
metrics | metriken | métriques | metriche | métricas
log | logs | logging | protokolle | protokollierung | journalisation | registri | registros
messaging | nachrichten | messagerie | messaggistica | mensajería
queue | queues | warteschlange | warteschlangen | file d'attente | files d'attente | coda | code di messaggi | cola | colas
stream | streams | streaming | flux | flussi | flujos
cache | caching | zwischenspeicher
analytics | analyse | analysen | analytik | analytique | analisi | analítica | análisis
developer tools | entwicklerwerkzeuge | entwicklungswerkzeuge | outils de développement | outils pour développeurs | strumenti di sviluppo | strumenti per sviluppatori | herramientas de desarrollo | herramientas para desarrolladores
collaboration | zusammenarbeit | collaborazione | colaboración
service | services | dienst | dienste | dienstleistung | dienstleistungen | servizio | servizi | servicio | servicios
migration | migrations | umzug | migrazione | migración
support | unterstützung | assistance | assistenza | soporte
engineer | engineers | ingénieur | ingenieure | ingénieurs | ingegnere | ingegneri | ingeniero | ingenieros
note | notes | notiz | notizen | appunti | notas
checklist | checklists | checkliste | checklisten | liste de contrôle | listes de contrôle | lista di controllo | liste di controllo | lista de verificación | listas de verificación
serverless | faas | function as a service | functions as a service
managed | verwaltet | géré | gérée | gestito | gestita | gestionado | gestionada | administrado
gdpr | dsgvo | rgpd
iso | iso iec
c5 | bsi c5
eu | european union | europäische union | ue | union européenne | unione europea | unión europea
europe | europa
munich | münchen | monaco di baviera
cologne | köln | colonia
frankfurt | francfort | francoforte
hamburg | hambourg | amburgo | hamburgo
berlin | berlino
nuremberg | nürnberg | norimberga
vienna | wien | vienne | viena
zürich | zurigo
geneva | genf | genève | ginevra | ginebra
basel | bâle | basilea
bern | berne | berna
milan | milano | mailand
rome | rom | roma
turin | torino
florence | firenze | florenz | florencia
naples | napoli | neapel | nápoles
venice | venezia | venedig | venise | venecia
paris | parigi
marseille | marsiglia | marsella
lyon | lione
strasbourg | straßburg | strasburgo | estrasburgo
brussels | brussel | bruxelles | bruselas
antwerp | antwerpen | anvers | anversa | amberes
the hague | den haag | la haye | l'aia | la haya
london | londres | londra
dublin | dublino
lisbon | lisboa | lissabon | lisbonne | lisbona
barcelona | barcelone | barcellona
seville | sevilla | siviglia
warsaw | warszawa | warschau | varsovie | varsavia | varsovia
cracow | krakow | krakau | cracovie | cracovia
prague | praha | prag | praga
copenhagen | københavn | kopenhagen | copenhague | copenaghen
stockholm | stoccolma | estocolmo
gothenburg | göteborg
helsinki | helsingfors
athens | athen | athènes | atene | atenas
bucharest | bucuresti | bukarest | bucarest
belgrade | beograd | belgrad | belgrado
tokyo | tokio
singapore | singapur | singapour
`

// countryNames are what people call countries besides the names that Unicode gives them, by ISO 3166-1 alpha-2 code.
const countryNames = `
AE: uae | emirates | emirate | emirats | emirati | emiratos
BA: bosnia | bosnien | bosnie
CI: ivory coast | elfenbeinküste | costa de marfil
CZ: czech republic | tschechische republik | république tchèque | repubblica ceca | república checa
GB: uk | great britain | britain | england | scotland | großbritannien | schottland | grande bretagne | angleterre | écosse | gran bretagna | inghilterra | scozia | gran bretaña | inglaterra | escocia
HK: hong kong | hongkong
KR: korea | corée | corea
MD: moldova
MK: north macedonia | nordmazedonien | macédoine du nord | macedonia del nord | macedonia del norte
MO: macau | macao
NL: holland | hollande | olanda | holanda
RE: reunion
SZ: eswatini
TR: türkiye
US: usa | united states of america | vereinigte staaten von amerika | états-unis d'amerique | stati uniti d'america | estados unidos de america
VA: vatican | vatikan | vaticano
`

// fillers are words that hold a question together and say nothing of what is looked for.
const fillers = `
a an and at by for from in of on the to with
am an auf aus bei das dem den der des die ein eine einem einen einer für im in mit oder und von vom zu zum zur
à au aux avec d dans de des du en et l la le les ou par pour sur un une
a ai al alla alle con da dal del della delle dello di e ed i il in l la le lo nel nella o per su un una uno
a al con de del e el en la las los o para por un una y
`
